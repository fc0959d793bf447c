"""Wavelength grids: vacuum, in Å or in ln(λ/Å)."""

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError

Array = NDArray[np.float64]


def log_grid(start: float, stop: float, step: float) -> Array:
    """A uniform grid in ln λ.

    Args:
        start: First wavelength in Å.
        stop: Upper end in Å; the last sample is at or below it.
        step: Spacing in ln λ.

    Returns:
        Wavelengths in Å, shape (L,), with a constant ratio exp(step).

    Raises:
        ValueError: If the range is empty or the step is not positive.
    """
    if not (0 < start < stop and step > 0):
        raise ValueError(f"need 0 < start < stop in Å and step > 0, got {start}, {stop}, {step}")
    count = int(np.floor(np.log(stop / start) / step + 1e-9)) + 1
    return start * np.exp(step * np.arange(count))


def log_step(wavelength: Array) -> float:
    """The spacing in ln λ of a uniform grid (Å, shape (L,)).

    Raises:
        DataError: If the spacing varies by more than 1e-6 of itself.
    """
    steps = np.diff(np.log(wavelength))
    step = float(steps.mean())
    if not np.all(np.abs(steps - step) < 1e-6 * step):
        raise DataError(
            f"wavelengths are not uniform in ln λ (steps {steps.min():.3e} to {steps.max():.3e})",
            field="wavelength",
            remedy="resample the grid with core.wavelengths.log_grid",
        )
    return step


def pixel_edges(wavelength: Array, segment: NDArray[np.integer]) -> tuple[Array, Array]:
    """Lower and upper edges of every pixel, in Å.

    An edge lies midway between two neighbours of one segment; the outermost pixels of a segment
    are as wide as their only neighbour makes them. A segment of one pixel has no known width.

    Args:
        wavelength: Pixel centres in Å, shape (..., P), increasing within a segment.
        segment: Detector or order of each pixel, shape (P,).

    Returns:
        Two arrays of shape (..., P).

    Raises:
        DataError: If a segment has a single pixel.
    """
    lower, upper = np.empty_like(wavelength), np.empty_like(wavelength)
    for number in np.unique(segment):
        (pixels,) = np.nonzero(segment == number)
        if len(pixels) < 2:
            raise DataError(
                f"segment {number} has one pixel, whose width is unknown",
                field="segment",
                remedy="drop the pixel or join it to a segment",
            )
        centre = wavelength[..., pixels]
        half = 0.5 * np.diff(centre, axis=-1)
        lower[..., pixels] = centre - np.concatenate([half[..., :1], half], axis=-1)
        upper[..., pixels] = centre + np.concatenate([half, half[..., -1:]], axis=-1)
    return lower, upper


def sigma_of_resolving_power(wavelength: Array, resolving_power: float | Array) -> Array:
    """Gaussian σ in Å of a line spread of resolving power R = λ / FWHM."""
    return wavelength / resolving_power / FWHM_PER_SIGMA
