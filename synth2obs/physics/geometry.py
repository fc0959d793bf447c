"""Where a survey's pixels lie on the rest grid, and how wide they and their line spread are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import log_step, pixel_edges

Array = NDArray[np.float64]
Integers = NDArray[np.integer[Any]]

ROUNDING = 1e-3
"""Relative excess of the grid's σ over the survey's that passes as rounding."""


@dataclass(frozen=True)
class Geometry:
    """Pixels in samples of the rest grid, at zero velocity. W is 1, G or N rows of widths.

    Args:
        samples: Number L of rest samples.
        step: Their spacing in ln λ.
        position: Pixel centres (in ln λ) counted from the first sample, shape (1 or N, P).
        half_width: Half of each pixel, shape (1 or N, P).
        variance: σ² of the survey, samples², shape (W, P).
        rest_variance: σ² of the grid itself at the pixels, samples², shape (1 or N, P).
        group: Row of ``variance`` of each star, or None where the row is the star's or the only one.
    """

    samples: int
    step: float
    position: Array
    half_width: Array
    variance: Array
    rest_variance: Array
    group: Integers | None


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


def _check_shapes(
    native: Array, own_pixels: bool, segment: Integers, sigma: Array, group: Integers | None
) -> None:
    """Raises DataError where the pixels, widths and groups of a survey disagree."""
    stars, pixels = native.shape
    _demand(
        segment.shape == (pixels,),
        "segment",
        f"shape {segment.shape} for {pixels} pixels",
        "give one per pixel",
    )
    _demand(
        sigma.shape[1] == pixels, "lsf_sigma", f"{sigma.shape[1]} columns for {pixels} pixels", "resample it"
    )
    _demand(
        group is not None or len(sigma) == 1 or (own_pixels and len(sigma) == stars),
        "lsf_group",
        f"lsf_sigma has {len(sigma)} rows and no star says which is its own",
        "give the row of each star",
    )
    if group is None:
        return
    _demand(
        group.min(initial=0) >= 0 and group.max(initial=0) < len(sigma),
        "lsf_group",
        f"rows {group.min()} to {group.max()} of an lsf_sigma with {len(sigma)} rows",
        "count rows from 0",
    )
    _demand(
        not own_pixels or len(group) == stars,
        "lsf_group",
        f"{len(group)} entries for {stars} stars",
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
        field="lsf_sigma",
        remedy="use a grid of higher resolving power, or check that σ is in Å, neither FWHM nor pixels",
    )


def geometry(
    rest_wavelength: ArrayLike,
    wavelength: ArrayLike,
    segment: ArrayLike,
    lsf_sigma: ArrayLike,
    rest_sigma: ArrayLike,
    lsf_group: ArrayLike | None = None,
) -> Geometry:
    """Places a survey's pixels on a rest grid; arguments and errors as for `Instrument`."""
    rest = positive("rest_wavelength", rest_wavelength)
    native = np.atleast_2d(positive("wavelength", wavelength))
    sigma = np.atleast_2d(positive("lsf_sigma", lsf_sigma))
    own_pixels = np.ndim(wavelength) == 2
    group = None if lsf_group is None else np.asarray(lsf_group, dtype=np.int64)
    numbers = np.asarray(segment)
    _check_shapes(native, own_pixels, numbers, sigma, group)
    if len(sigma) == 1 or (own_pixels and group is not None):
        sigma = sigma if len(sigma) == 1 else sigma[group]
        group = None
    step = log_step(rest)
    lower, upper = (np.log(edge) for edge in pixel_edges(native, numbers))
    survey = sigma / native
    own = np.interp(native, rest, np.broadcast_to(np.asarray(rest_sigma, np.float64), rest.shape)) / native
    _refuse_sharper(native, survey, own, rest)
    return Geometry(
        samples=len(rest),
        step=step,
        position=((lower + upper) / 2 - np.log(rest[0])) / step,
        half_width=(upper - lower) / 2 / step,
        variance=(survey / step) ** 2,
        rest_variance=(own / step) ** 2,
        group=group,
    )
