"""What every reader does to its flux and errors."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def blank_bad(flux: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Flux with bad pixels (not finite, zero, negative) set to 0, and where they are; shape (N, P)."""
    bad = ~(np.isfinite(flux) & (np.nan_to_num(flux) > 0))
    return np.where(bad, 0.0, flux), bad


def median_snr(flux: Array, ivar: Array) -> Array:
    """Median signal to noise per good pixel, shape (N,); NaN for a star without any."""
    result = np.full(len(flux), np.nan)
    for row, (values, weight) in enumerate(zip(flux, ivar, strict=True)):
        good = weight > 0
        if good.any():
            result[row] = np.median(values[good] * np.sqrt(weight[good]))
    return result
