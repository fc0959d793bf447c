r"""Errors for libraries that publish none: the local high-frequency scatter of the spectrum itself.

The sixth difference of neighbouring pixels removes everything that varies over more than a few pixels.
White noise of standard deviation σ leaves it with :math:`\sqrt{924}\,σ`. A noiseless cool star seen through
a line spread of three pixels FWHM looks like noise of 0.1 % (second differences: 0.4 %). What remains of its
lines is uneven, so a low quantile of the absolute differences, scaled as for a Gaussian, is the noise.
Neighbouring pixels of a resampled spectrum share noise, which differences underestimate: the floor stands
for that, and for the flux calibration.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]

DIFFERENCE = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0]) / np.sqrt(924.0)
"""Sixth difference with unit response to white noise."""

WINDOW = 150
"""Pixels over which the scatter is measured."""

QUANTILE = 0.4
"""Quantile of the absolute differences; below the median so that strong lines do not count."""

FLOOR = 0.004
"""Least error, as a fraction of the local flux."""


def estimate_ivar(
    flux: NDArray[np.floating],
    *,
    window: int = WINDOW,
    floor: float = FLOOR,
) -> tuple[Array, str]:
    """Inverse variances from the scatter of the flux, and how they were made.

    Args:
        flux: Shape (N, P); a pixel that is not finite or not positive is bad.
        window: Pixels over which the scatter is measured, at least 20.
        floor: Least error, as a fraction of the median flux of the window.

    Returns:
        Inverse variance in 1/flux², shape (N, P), 0 for bad pixels; and a sentence for the provenance.

    Raises:
        ValueError: If the window is too short, longer than the spectrum, or the floor is not positive.
    """
    if not 20 <= window <= flux.shape[-1] - 6 or not floor > 0:
        raise ValueError(
            f"need 20 <= window <= {flux.shape[-1] - 6} px and floor > 0, got {window} px and {floor}"
        )
    good = np.isfinite(flux) & (np.nan_to_num(flux) > 0)
    values = np.where(good, flux, np.nan).astype(np.float64)
    scatter = _running(np.abs(_differences(values)), window, QUANTILE) / ndtri(0.5 * (1.0 + QUANTILE))
    level = _running(values, window, 0.5)
    sigma = np.fmax(scatter, floor * level)
    with np.errstate(divide="ignore", invalid="ignore"):
        ivar = np.where(good & (sigma > 0), sigma**-2.0, 0.0)
    return ivar, describe(window, floor)


def describe(window: int = WINDOW, floor: float = FLOOR) -> str:
    """The noise model in words, for a shard's provenance."""
    return (
        f"no errors published: sigma = max(scaled {QUANTILE:g} quantile of absolute sixth differences "
        f"in {window} px, {floor:g} of the local median flux); pixels taken as independent"
    )


def _differences(values: Array) -> Array:
    """Sixth differences, shape (N, P), NaN at the ends and wherever a bad pixel takes part."""
    result = np.full_like(values, np.nan)
    result[:, 3:-3] = sliding_window_view(values, len(DIFFERENCE), axis=1) @ DIFFERENCE
    return result


def _running(values: Array, window: int, quantile: float) -> Array:
    """A quantile in windows that overlap by half, interpolated to every pixel. NaN values do not count."""
    pixels = values.shape[1]
    starts = np.unique(np.append(np.arange(0, pixels - window, window // 2), pixels - window))
    views = sliding_window_view(values, window, axis=1)[:, starts]
    levels = _quantile(views, quantile)
    return np.stack([_fill(starts + 0.5 * (window - 1), row, pixels) for row in levels])


def _quantile(views: Array, quantile: float) -> Array:
    """Quantile over the last axis of the values that are not NaN; NaN where fewer than a third are left."""
    ordered = np.sort(views, axis=-1)
    count = np.isfinite(ordered).sum(axis=-1)
    place = np.maximum(quantile * (count - 1), 0.0)
    below = np.floor(place).astype(int)
    above = np.minimum(below + 1, np.maximum(count - 1, 0))
    low, high = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in (below, above))
    return np.where(3 * count >= views.shape[-1], low + (place - below) * (high - low), np.nan)


def _fill(centres: Array, levels: Array, pixels: int) -> Array:
    known = np.isfinite(levels)
    if not known.any():
        return np.full(pixels, np.nan)
    return np.interp(np.arange(pixels), centres[known], levels[known])
