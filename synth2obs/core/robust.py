"""Numbers that a few strange values do not move."""

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import MAD_TO_SIGMA, MEDIAN_ERROR

Array = NDArray[np.float64]


def scatter(values: Array) -> Array:
    """Standard deviation over the first axis by the median absolute deviation from the median: (N, K) → (K,)."""
    return np.asarray(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values, axis=0)), axis=0))


def middle(values: Array) -> tuple[Array, Array]:
    """Median over the first axis and its standard error, from the median absolute deviation: (N, K) → (K,) each.

    A single value has an infinite error.
    """
    median = np.median(values, axis=0)
    spread = scatter(values) if len(values) > 1 else np.inf
    return np.asarray(median), np.asarray(MEDIAN_ERROR * spread / np.sqrt(len(values))) * np.ones_like(median)
