"""Wavelength grids: vacuum, in Å or in ln(λ/Å)."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import BALMER, FWHM_PER_SIGMA
from synth2obs.core.errors import DataError

Array = NDArray[np.float64]

AS_FAR = 0.98
"""Share of the pixels of the grid that reaches farthest that a coarser one must reach to be preferred."""

_HOLE = 1.5  # of the median spacing
_ROUNDING = 1e-6  # of a sample: what float64 logarithms of one wavelength may differ by


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


def bands(wavelength: Array) -> list[slice]:
    """The stretches of a grid between its holes.

    A hole is a spacing in ln λ of more than 1.5 times the median spacing.

    Args:
        wavelength: Å, increasing, shape (L,).

    Returns:
        One slice into ``wavelength`` per stretch, in order; together they cover it.

    Raises:
        DataError: If there are fewer than two wavelengths, or they do not increase.
    """
    steps = np.diff(np.log(wavelength))
    if not (steps.size and np.all(steps > 0)):
        raise DataError(
            f"{len(wavelength)} wavelengths in Å must be at least two and increase",
            field="wavelength",
            remedy="sort the grid and drop repeated samples",
        )
    starts = np.nonzero(steps > _HOLE * np.median(steps))[0] + 1
    limits = [0, *starts.tolist(), len(wavelength)]
    return [slice(first, last) for first, last in pairwise(limits)]


def coarsest(reach: Mapping[str, int], width: Mapping[str, float]) -> str:
    """Of grids that reach about as far as the one that reaches farthest, the coarsest.

    Args:
        reach: Pixels that each reaches and is sharp enough for, by name; one at least.
        width: σ/λ of each.
    """
    wide = [name for name, pixels in reach.items() if pixels >= AS_FAR * max(reach.values())]
    return max(wide, key=lambda name: width[name])


def on_detectors(query: Array, wavelength: Array, segment: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Whether wavelengths lie between the first and the last pixel of any detector.

    Args:
        query: Wavelengths, or their logarithms, any shape.
        wavelength: Of the pixels, likewise, shape (P,).
        segment: Detector of each pixel, shape (P,).
    """
    inside = np.zeros(np.shape(query), bool)
    for number in np.unique(segment):
        own = wavelength[segment == number]
        inside |= (query >= own.min()) & (query <= own.max())
    return inside


def log_step(wavelength: Array) -> float:
    """The spacing in ln λ that all bands of a grid share (Å, shape (L,)).

    Raises:
        DataError: If the spacing inside the bands varies by more than 1e-6 of itself, or a band has a single sample.
    """
    inside = [np.diff(np.log(wavelength[band])) for band in bands(wavelength)]
    steps = np.concatenate(inside)
    step = float(steps.mean())
    if not (all(len(part) for part in inside) and np.all(np.abs(steps - step) < 1e-6 * step)):
        found = f"steps {steps.min():.3e} to {steps.max():.3e} in {len(inside)} bands"
        raise DataError(
            f"wavelengths are not uniform in ln λ ({found})",
            field="wavelength",
            remedy="resample every band with core.wavelengths.log_grid at one step",
        )
    return step


def band_positions(query: Array, wavelength: Array) -> Array:
    """Where wavelengths lie on a grid, in samples; holes count for nothing.

    Args:
        query: Wavelengths in Å, shape (Q,), each inside a band of the grid.
        wavelength: The grid in Å, shape (L,), uniform in ln λ inside its bands.

    Returns:
        Fractional indices into ``wavelength``, shape (Q,), linear in ln λ inside a band.

    Raises:
        DataError: If a wavelength is not a number, or lies outside the grid or in one of its holes.
    """
    step = log_step(wavelength)
    positions = np.full(np.shape(query), np.nan)
    log_query = np.log(np.where(query > 0, query, np.nan))
    for band in bands(wavelength):
        last = band.stop - 1
        steps_in = (log_query - np.log(wavelength[band.start])) / step
        inside = (steps_in >= -_ROUNDING) & (steps_in <= last - band.start + _ROUNDING)
        positions = np.where(inside, np.clip(band.start + steps_in, band.start, last), positions)
    _refuse_outside(query, positions, wavelength)
    return positions


def _refuse_outside(query: Array, positions: Array, wavelength: Array) -> None:
    outside = query[np.isnan(positions)]
    if len(outside):
        covered = ", ".join(f"{wavelength[b][0]:.2f}-{wavelength[b][-1]:.2f}" for b in bands(wavelength))
        raise DataError(
            f"{len(outside)} wavelengths lie outside the bands {covered} Å, the first at {outside[0]:.2f} Å",
            field="wavelength",
            remedy="ask for wavelengths inside the bands",
        )


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


def from_balmer(wavelength: Array) -> Array:
    """Distance in Å from the nearest Balmer line, of vacuum wavelengths of any shape."""
    return np.asarray(np.abs(np.asarray(wavelength)[..., None] - np.array(BALMER)).min(axis=-1))
