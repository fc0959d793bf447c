"""The fields of a table of spectra as people give them: made right where that can be, refused by name where not."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.given import floats, in_unit, linear_unit, numbers, text, usable, whole
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra_rules import (
    CHOICES,
    Problem,
    breadth_problems,
    choice_problems,
    column_problems,
    domain_problems,
    id_problems,
    offset_problems,
    positive,
    profile_problem,
    refuse,
    responds,
    row_problems,
    segment_problems,
    wavelength_problems,
    width_problem,
)

COLUMNS = {"rv": "km/s", "rv_error": "km/s", "snr": ""}
"""Numbers of every star, and their units."""

SPREAD = "line_spread"
"""The field with the line spread."""


def right_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `core.spectra.Spectra` that are valid.

    Arrays become arrays of this machine's numbers; a masked pixel is a bad one; detectors whose wavelengths fall are
    turned with all that belongs to them.

    Raises:
        DataError: Naming every field that is wrong.
    """
    found = dict(given)
    for name in CHOICES:
        refuse(choice_problems(name, found[name]))
    found |= _pixels(found)
    found |= _columns(found, len(found["flux"]))
    refuse(_shape_problems(found))
    found |= _turned(found)
    refuse(_content_problems(found))
    return found


def _pixels(given: Mapping[str, Any]) -> dict[str, Any]:
    """Flux, inverse variance, flags, wavelength and detectors."""
    unit = linear_unit("flux", given["flux"])
    flux, masked = floats("flux", given["flux"] if unit is None else given["flux"].to_value(unit))
    _demand_axes("flux", flux, 2, "(stars, pixels), neither 0")
    ivar = given["ivar"]
    if ivar is not None:
        ivar, hidden = floats("ivar", ivar if unit is None else in_unit("ivar", ivar, unit**-2))
        flux, ivar = _without_bad(flux, ivar, [one for one in (masked, hidden) if one is not None])
    elif masked is not None and masked.any():
        raise DataError("is masked", field="flux", remedy="leave these spectra of the grid out")
    wavelength, hidden = floats("wavelength", given["wavelength"], "Angstrom")
    if hidden is not None and hidden.any():
        raise DataError("is masked", field="wavelength", remedy="every pixel needs one, bad ones too")
    segment = whole("segment", given["segment"], np.int16)
    return {
        "flux": flux,
        "ivar": ivar,
        "flags": None if given["flags"] is None else whole("flags", given["flags"], np.uint32),
        "wavelength": wavelength,
        "segment": np.broadcast_to(segment, flux.shape[1]).copy() if segment.ndim == 0 else segment,
    }


def _without_bad(
    flux: NDArray[Any], ivar: NDArray[Any], masks: list[NDArray[np.bool_]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Flux and inverse variance that are 0 in masked pixels, and flux that is 0 where it is no number in bad ones."""
    if ivar.shape != flux.shape or any(mask.shape != flux.shape for mask in masks):
        return flux, ivar
    for mask in masks:
        flux, ivar = np.where(mask, 0, flux), np.where(mask, 0, ivar)
    hidden = (ivar == 0) & ~np.isfinite(flux)
    return (np.where(hidden, 0, flux), ivar) if hidden.any() else (flux, ivar)


def _columns(given: Mapping[str, Any], stars: int) -> dict[str, Any]:
    """What there is of every star."""
    found: dict[str, Any] = {name: _column(name, given[name], stars, unit) for name, unit in COLUMNS.items()}
    for group in ("labels", "label_errors"):
        columns = _mapping(group, given[group])
        found[group] = {name: _column(f"{group}.{name}", of, stars) for name, of in columns.items()}
    native = _mapping("native", given["native"])
    found["native"] = {name: _fact(f"native.{name}", of) for name, of in native.items()}
    found["id"] = text("id", given["id"])
    if not isinstance(given[SPREAD], LineSpread):
        raise DataError(
            f"is a {type(given[SPREAD]).__name__}",
            field=SPREAD,
            remedy="give a LineSpread, or lsf_sigma in Å",
        )
    return found


def _column(name: str, given: Any, stars: int, unit: str = "") -> NDArray[np.floating[Any]]:
    """Numbers of every star, NaN where masked; one number is that of all."""
    from_unit = in_unit(name, given, unit) if unit else getattr(given, "value", given)
    values, masked = floats(name, from_unit)
    values = np.broadcast_to(values, stars).copy() if values.ndim == 0 else values
    return values if masked is None else np.where(masked, np.nan, values)


def _fact(name: str, given: Any) -> NDArray[Any]:
    """A survey's own column, of numbers or text."""
    kind = np.asarray(given).dtype.kind
    return text(name, given) if kind in "SUO" else numbers(name, getattr(given, "value", given))[0]


def _mapping(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise DataError(f"is a {type(given).__name__}", field=name, remedy="give a dict of columns by name")
    return {str(key): value for key, value in given.items()}


def _demand_axes(name: str, array: NDArray[Any], axes: int, wanted: str) -> None:
    if array.ndim != axes or 0 in array.shape:
        raise DataError(f"has shape {array.shape}", field=name, remedy=f"it must be {wanted}")


def _shape_problems(found: Mapping[str, Any]) -> Iterator[Problem]:
    """Shapes that do not fit the flux."""
    stars, pixels = found["flux"].shape
    spread: LineSpread = found[SPREAD]
    whole_table, each = ((stars, pixels),), ((stars,),)
    wanted: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
        "wavelength": (found["wavelength"], ((pixels,), (stars, pixels))),
        "segment": (found["segment"], ((pixels,),)),
        "ivar": (found["ivar"], whole_table),
        "flags": (found["flags"], whole_table),
        "id": (found["id"], each),
        f"{SPREAD}.sigma": (spread.sigma, ((len(spread.sigma), pixels),)),
        f"{SPREAD}.group": (spread.group, each),
        **{name: (found[name], each) for name in COLUMNS},
    }
    for group in ("labels", "label_errors", "native"):
        wanted |= {f"{group}.{name}": (column, each) for name, column in found[group].items()}
    for name, (array, shapes) in wanted.items():
        if array is not None and array.shape not in shapes:
            words = " or ".join(map(str, shapes))
            yield Problem(name, f"has shape {array.shape}", f"with flux {(stars, pixels)} it must be {words}")


def _turned(found: Mapping[str, Any]) -> dict[str, Any]:
    """Everything along the pixels, turned for detectors that run from red to blue in all stars."""
    segment, wavelength = found["segment"], found["wavelength"]
    order, falls = np.arange(len(segment)), False
    edges = [0, *(np.flatnonzero(np.diff(segment)) + 1), len(segment)]
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        part = wavelength[..., first:last]
        ends = np.atleast_2d(part)[0, [0, -1]]
        if ends[1] < ends[0] and (np.diff(part, axis=-1) < 0).all():
            order[first:last], falls = order[first:last][::-1].copy(), True
    if not falls:
        return {}
    rows = {name: None if (of := found[name]) is None else of[:, order] for name in ("flux", "ivar", "flags")}
    gradients = found["gradients"]
    return {
        **rows,
        "wavelength": usable(wavelength[..., order]),
        "segment": segment[order],
        SPREAD: found[SPREAD].cut(order),
        "gradients": None if gradients is None else gradients.cut(order),
    }


def _content_problems(found: Mapping[str, Any]) -> Iterator[Problem]:
    """Rules of the format that the values break."""
    yield from domain_problems(found["kind"], found["domain"])
    if found["kind"] == "grid" and found["ivar"] is not None:
        yield Problem("ivar", "a grid has no inverse variance", "leave it out, or use kind survey")
    yield from wavelength_problems(np.atleast_2d(found["wavelength"]), found["segment"])
    yield from segment_problems(found["segment"])
    yield from row_problems(found["flux"], found["ivar"], 0)
    yield from id_problems(found["id"])
    for name in COLUMNS:
        yield from column_problems(name, found[name])
    for group in ("labels", "label_errors"):
        for name, column in found[group].items():
            if np.isinf(column).any():
                yield Problem(f"{group}.{name}", "is infinite for a star", "use NaN for unknown")
    yield from _spread_problems(found[SPREAD], np.atleast_2d(found["wavelength"])[0])


def _spread_problems(spread: LineSpread, wavelength: NDArray[Any]) -> Iterator[Problem]:
    if not positive(spread.sigma):
        yield width_problem(f"{SPREAD}.sigma")
    else:
        yield from breadth_problems(f"{SPREAD}.sigma", float(spread.sigma.max(initial=0.0)), wavelength)
    if spread.hermite is not None and not np.isfinite(spread.hermite).all():
        yield profile_problem("hermite", f"{SPREAD}.hermite")
    if spread.kernel is not None and spread.offset is not None:
        if not responds(spread.kernel):
            yield profile_problem("kernel", f"{SPREAD}.kernel")
        yield from offset_problems(f"{SPREAD}.offset", spread.offset)
