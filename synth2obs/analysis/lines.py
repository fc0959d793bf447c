"""The strongest lines of a gap spectrum."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line that theory lacks (positive depth) or makes too strong (negative).

    Args:
        wavelength: Centroid in Å.
        depth, depth_error: Minus the gap at its extremum, in normalised flux.
        equivalent_width, equivalent_width_error: Minus the integral of the gap, in mÅ.
        significance: ``|depth| / depth_error``.
        start, stop: Wavelengths in Å of its first and last cell.
    """

    wavelength: float
    depth: float
    depth_error: float
    equivalent_width: float
    equivalent_width_error: float
    significance: float
    start: float
    stop: float


def strongest_lines(
    gap: ArrayLike,
    sigma: ArrayLike,
    wavelength: ArrayLike,
    count: int = 50,
    min_separation: float = 1.0,
    threshold: float = 5.0,
) -> list[Line]:
    """Lines around the most significant local extrema of a gap spectrum, strongest first.

    A line is the connected run of cells around an extremum that have its sign, exceed one sigma and lie
    within ``min_separation``; no two lines share a cell or have extrema nearer than ``min_separation``.

    Args:
        gap: Gap in normalised flux, shape (L,).
        sigma: Its standard deviation, shape (L,); a cell whose sigma is not finite and positive is left out.
        wavelength: Å, increasing, shape (L,).
        count: Most lines to return.
        min_separation: Å.
        threshold: Least ``|gap| / sigma`` at the extremum.

    Returns:
        At most ``count`` lines.
    """
    gap, sigma, wavelength = (np.asarray(a, np.float64) for a in (gap, sigma, wavelength))
    if not gap.shape == sigma.shape == wavelength.shape or gap.ndim != 1:
        raise ValueError(
            f"gap, sigma and wavelength must have one shape (L,), got {gap.shape}, {sigma.shape}, "
            f"{wavelength.shape}"
        )
    known = np.isfinite(gap) & np.isfinite(sigma) & (sigma > 0)
    score = np.divide(gap, sigma, out=np.zeros_like(gap), where=known)
    free = np.ones(len(gap), bool)
    lines: list[Line] = []
    for peak in _extrema(np.abs(score), threshold):
        if len(lines) == count:
            break
        if free[peak]:
            near = np.abs(wavelength - wavelength[peak]) < min_separation
            cells = _run(free & near & (score * np.sign(score[peak]) > 1), peak)
            lines.append(_line(gap, sigma, wavelength, peak, cells))
            free[near] = False
            free[cells] = False
    return lines


def _extrema(height: Floats, threshold: float) -> NDArray[np.intp]:
    """Local maxima above the threshold, highest first."""
    padded = np.concatenate([[-np.inf], height, [-np.inf]])
    peak = (height >= padded[:-2]) & (height > padded[2:]) & (height >= threshold)
    (cells,) = np.nonzero(peak)
    return cells[np.argsort(-height[cells], kind="stable")]


def _run(inside: NDArray[np.bool_], peak: int) -> slice:
    """The connected cells around ``peak`` that are inside."""
    (outside,) = np.nonzero(~inside)
    position = int(np.searchsorted(outside, peak))
    start = outside[position - 1] + 1 if position > 0 else 0
    return slice(int(start), int(outside[position]) if position < len(outside) else len(inside))


def _line(gap: Floats, sigma: Floats, wavelength: Floats, peak: int, cells: slice) -> Line:
    width = np.gradient(wavelength)[cells]
    area, weight = gap[cells] * width, np.abs(gap[cells]) * width
    return Line(
        wavelength=float(np.average(wavelength[cells], weights=weight)),
        depth=float(-gap[peak]),
        depth_error=float(sigma[peak]),
        equivalent_width=float(-1e3 * area.sum()),
        equivalent_width_error=float(1e3 * np.sqrt(((sigma[cells] * width) ** 2).sum())),
        significance=float(np.abs(gap[peak]) / sigma[peak]),
        start=float(wavelength[cells.start]),
        stop=float(wavelength[cells.stop - 1]),
    )
