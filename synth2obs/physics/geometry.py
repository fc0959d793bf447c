"""Where a survey's pixels lie on the rest grid, and how wide they and their line spread are."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import bands, log_step, pixel_edges

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

ROUNDING = 1e-3
"""Relative excess of the grid's σ over the survey's that passes as rounding."""


class Table(NamedTuple):
    """Tabulated responses of pixels to monochromatic light; lengths in samples.

    Args:
        response: Shape (W, P, J).
        start: Offset of the first entry from the pixel's centre, shape (1 or N, P).
        step: Spacing of the entries, shape (1 or N, P).
    """

    response: Array
    start: Array
    step: Array


@dataclass(frozen=True)
class Geometry:
    """Pixels in samples of the rest grid, at zero velocity. W is 1, G or N rows of widths.

    Args:
        samples: Number L of rest samples.
        step: Their spacing in ln λ.
        position: Pixel centres (in ln λ) counted from the first sample, holes left out, shape (1 or N, P).
        band: First and last sample of the band that each pixel lies in or next to, shape (2, 1 or N, P).
        half_width: Half of each pixel, shape (1 or N, P).
        variance: σ² of the survey, samples², shape (W, P).
        rest_variance: σ² of the grid itself at the pixels, samples², shape (1 or N, P).
        group: Row of ``variance`` of each star, or None where the row is the star's or the only one.
        hermite: Amplitudes of He_1 … He_M, shape (W, P, M), or None.
        table: Tabulated responses instead of Gaussians, or None.
    """

    samples: int
    step: float
    position: Array
    band: Integers
    half_width: Array
    variance: Array
    rest_variance: Array
    group: Integers | None
    hermite: Array | None = None
    table: Table | None = None


def positive(name: str, values: ArrayLike) -> Array:
    """A float64 array of positive, finite values in Å.

    Raises:
        DataError: If one is not; the message has its value and its index.
    """
    array = np.asarray(values, dtype=np.float64)
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        raise DataError(
            f"must be positive and finite in Å, got {array[bad][0]} at index {np.argwhere(bad)[0].tolist()}",
            field=name,
            remedy="drop the pixels that have none",
        )
    return array


def _demand(condition: bool, field: str, message: str, remedy: str) -> None:
    if not condition:
        raise DataError(message, field=field, remedy=remedy)


def _check_shapes(native: Array, own_pixels: bool, segment: Integers, spread: LineSpread) -> None:
    """Raises DataError where the pixels and the line spread of a survey disagree."""
    stars, pixels = native.shape
    _demand(
        segment.shape == (pixels,),
        "segment",
        f"shape {segment.shape} for {pixels} pixels",
        "give one per pixel",
    )
    _demand(
        spread.pixels == pixels,
        "line_spread.sigma",
        f"{spread.pixels} columns for {pixels} pixels",
        "resample it",
    )
    _demand(
        not own_pixels or len(spread.sigma) == 1 or len(spread.group) == stars,
        "line_spread.group",
        f"{len(spread.group)} entries for {stars} stars",
        "give one per star",
    )


def _refuse_sharper(native: Array, survey: Array, rest: Array, rest_wavelength: Array) -> None:
    """Raises DataError where, on the grid's range, the survey's σ/λ is below the grid's own."""
    inside = (native >= rest_wavelength[0]) & (native <= rest_wavelength[-1])
    ratio = np.where(inside & (rest > 0), survey / np.where(rest > 0, rest, 1.0), np.inf)
    if ratio.min(initial=np.inf) >= 1.0 - ROUNDING:
        return
    worst = np.unravel_index(np.argmin(ratio), ratio.shape)
    at, sigma = (np.broadcast_to(values, ratio.shape)[worst] for values in (native, survey * native))
    raise DataError(
        f"the survey's σ at {at:.1f} Å is {sigma:.4f} Å, below the grid's {sigma / ratio[worst]:.4f} Å",
        field="line_spread.sigma",
        remedy="use a grid of higher resolving power, or check that σ is in Å, neither FWHM nor pixels",
    )


def _placed(native: Array, rest: Array, step: float) -> tuple[Array, Integers]:
    """Positions of wavelengths in samples, holes left out, and first and last sample of the nearest band."""
    x = np.log(native)
    parts = bands(rest)
    ends = np.log([[rest[part.start], rest[part.stop - 1]] for part in parts])
    between = 0.5 * (ends[1:, 0] + ends[:-1, 1])
    index = np.searchsorted(between, x)
    first, last = (np.array([getattr(part, end) for part in parts]) for end in ("start", "stop"))
    position = first[index] + (x - ends[index, 0]) / step
    return position, np.stack([first[index], last[index] - 1])


def _profile(name: str, values: NDArray[Any] | None) -> Array | None:
    """Hermite amplitudes or tabulated responses in float64, refused unless they are finite."""
    if values is None:
        return None
    array = np.asarray(values, dtype=np.float64)
    _demand(
        bool(np.isfinite(array).all()),
        f"line_spread.{name}",
        "holds values that are not finite",
        "set them to 0",
    )
    return array


def _table(response: Array | None, offset: ArrayLike | None, native: Array, step: float) -> Table | None:
    """Tabulated responses with offsets (Å) in samples."""
    if response is None:
        return None
    places = np.asarray(offset, dtype=np.float64)
    _demand(
        len(places) > 2,
        "line_spread.offset",
        f"has {len(places)} entries",
        "give the offset in Å of every entry, at least three",
    )
    spacing = np.diff(places)
    _demand(
        bool(spacing[0] > 0 and np.allclose(spacing, spacing[0], rtol=1e-6)),
        "line_spread.offset",
        f"steps of {spacing.min():.4g} to {spacing.max():.4g} Å",
        "tabulate the response at equal, increasing offsets",
    )
    responds = bool((response.sum(2) > 0).all())
    _demand(responds, "line_spread.kernel", "a response sums to 0 or less", "drop the pixel")
    return Table(response, places[0] / native / step, spacing[0] / native / step)


def _widths(spread: LineSpread, own_pixels: bool) -> tuple[LineSpread, Integers | None]:
    """The rows of widths that are used, and which is each star's unless the row is the star's or the only one."""
    if len(spread.sigma) == 1:
        return spread, None
    if own_pixels:
        return spread.each(), None
    return spread, spread.group.astype(np.int64)


def geometry(
    rest_wavelength: ArrayLike,
    wavelength: ArrayLike,
    segment: ArrayLike,
    line_spread: LineSpread,
    rest_sigma: ArrayLike,
) -> Geometry:
    """Places a survey's pixels on a rest grid; arguments and errors as for `Instrument`."""
    rest = positive("rest_wavelength", rest_wavelength)
    native = np.atleast_2d(positive("wavelength", wavelength))
    positive("line_spread.sigma", line_spread.sigma)
    numbers, own_pixels = np.asarray(segment), np.ndim(wavelength) == 2
    _check_shapes(native, own_pixels, numbers, line_spread)
    spread, group = _widths(line_spread, own_pixels)
    step = log_step(rest)
    lower, upper = (np.log(edge) for edge in pixel_edges(native, numbers))
    survey = np.asarray(spread.sigma, dtype=np.float64) / native
    own = np.interp(native, rest, np.broadcast_to(np.asarray(rest_sigma, np.float64), rest.shape)) / native
    _refuse_sharper(native, survey, own, rest)
    position, band = _placed(np.exp(0.5 * (lower + upper)), rest, step)
    return Geometry(
        samples=len(rest),
        step=step,
        position=position,
        band=band,
        half_width=(upper - lower) / 2 / step,
        variance=(survey / step) ** 2,
        rest_variance=(own / step) ** 2,
        group=group,
        hermite=_profile("hermite", spread.hermite),
        table=_table(_profile("kernel", spread.kernel), spread.offset, native, step),
    )
