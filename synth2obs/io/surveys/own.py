"""Any survey: a short TOML says which columns hold what, in which units, medium and frame."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.labels import unit_of
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.unpacked import bare_name
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.shard.layout import ERROR_SUFFIX
from synth2obs.io.surveys.own_columns import Columns, angstroms, read_columns, refuse_lengths
from synth2obs.io.surveys.own_description import STARS, Description, read_description
from synth2obs.io.surveys.own_rows import EXACT, plain, star_name, star_rows
from synth2obs.io.surveys.record import Record, constant_resolution, mask, padded, weigh
from synth2obs.io.surveys.said_units import refuse_contradiction, refuse_log_flux
from synth2obs.io.surveys.survey import NoOptions, SurveyReader, Unit
from synth2obs.io.surveys.unknown import BAD_FLUX, fact, label, label_error, velocity

Array = NDArray[np.floating[Any]]

SUFFIX = ".toml"


def own_survey(path: str | Path) -> SurveyReader:
    """The survey that a TOML describes.

    Raises:
        DataError: If the file cannot be read, a key is unknown, missing, or has a value that it cannot have.
    """
    description = read_description(Path(path))
    return SurveyReader(
        name=description.name,
        read=partial(_read, description),
        labels=tuple(name for name in description.labels if not name.endswith(ERROR_SUFFIX)),
        columns=_renamed(description),
        rows=description.rows == STARS,
        about={
            "title": description.name,
            "citation": [description.citation] if description.citation else [],
            "description": {k: v for k, v in vars(description).items() if v == v},
        },
    )


def _renamed(one: Description) -> dict[str, str]:
    """Names of the project for columns that a table of labels may have under the owner's."""
    own = {column: name for table in (one.labels, one.metadata) for name, column in table.items()}
    return own | {column: name for name, column in (("object", one.object), ("id", one.id)) if column}


def _read(one: Description, unit: Unit, options: NoOptions) -> Iterator[Record | DataError]:
    (path,) = unit
    pixels = _pixel_names(one)
    if one.rows != STARS:
        yield padded(_record(one, read_columns(path, one.hdu, pixels), path), one.pixels, path)
        return
    for number, columns in star_rows(path, one.hdu, pixels, _star_names(one), one.flux):
        try:
            refuse_lengths(columns, pixels)
            yield padded(_record(one, columns, path), one.pixels, path)
        except DataError as error:
            yield DataError(f"row {number}: {_reason(error, path)}", path=path)


def _reason(error: DataError, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")


def _pixel_names(one: Description) -> tuple[str, ...]:
    """Names of everything that has a value a pixel."""
    names = (one.wavelength, one.flux, one.error or one.ivar, one.sigma, one.mask, one.segment)
    return tuple(dict.fromkeys(name for name in names if name))


def _star_names(one: Description) -> tuple[str, ...]:
    """Names of everything that has a value a star."""
    rv = (one.rv,) if isinstance(one.rv, str) else ()
    names = (one.id, one.object, *rv, *one.labels.values(), *one.metadata.values())
    return tuple(dict.fromkeys(name for name in names if name))


def _record(one: Description, columns: Columns, path: Path) -> Record:
    _refuse_contradictions(one, columns, path)
    wavelength = angstroms(columns[one.wavelength], _unit(one, columns), path)
    if one.medium == "air":
        wavelength = air_to_vacuum(wavelength)
    flux, ivar = _fluxes(one, columns)
    segment = columns[one.segment] if one.segment else np.zeros(len(wavelength))
    order = _order(segment, wavelength)
    name = _name(one, columns, path)
    return Record(
        id=name,
        wavelength=wavelength[order],
        segment=np.unique(segment[order], return_inverse=True)[1].astype(np.int16),
        flux=flux[order],
        ivar=ivar[order],
        line_spread=_line_spread(one, columns, wavelength, order),
        rv=_velocity(one, columns, path),
        labels=_labels(one, columns),
        label_errors=_label_errors(one, columns),
        native={**_metadata(one, columns), "object": _card_name(columns, one.object) or name},
        frame=one.frame,
        flux_kind=one.flux_kind,
        air_formula=AIR_FORMULA if one.medium == "air" else "",
    )


def _unit(one: Description, columns: Columns) -> str:
    """Unit of the wavelengths; a header may say by itself that they are logarithms."""
    is_log = columns.axis is not None and columns.axis.log and not one.unit.startswith("log10(")
    return f"log10({one.unit})" if is_log else one.unit


def _refuse_contradictions(one: Description, columns: Columns, path: Path) -> None:
    """Refuse units and a medium in the file that are others than the description's.

    Raises:
        DataError: Naming both.
    """
    inner = one.unit.removeprefix("log10(").removesuffix(")")
    axis = columns.axis
    refuse_log_flux(columns.units.get(one.flux), path, one.flux)
    described = {one.wavelength: one.unit if axis is None or not axis.log else inner, one.sigma: "Angstrom"}
    if isinstance(one.rv, str):
        described[one.rv] = "km/s"
    described |= {card: unit_of(name) for name, card in one.labels.items() if "dex" not in unit_of(name)}
    for name, unit in described.items():
        what = "unit" if name == one.wavelength else "the column"
        refuse_contradiction(columns.units.get(name), unit, path, name, what)
    if one.error:
        flux = columns.units.get(one.flux) or ""
        refuse_contradiction(
            columns.units.get(one.error), flux, path, one.error, "the column", "the flux has"
        )
    if axis is not None and axis.medium not in ("", one.medium):
        found, remedy = f"means {axis.medium}, but medium is {one.medium!r}", "correct the one that is wrong"
        raise DataError(found, path=path, field="CTYPE1", remedy=remedy)


def _velocity(one: Description, columns: Columns, path: Path) -> float:
    """km/s; NaN where the file says that it is unknown."""
    return velocity(columns.card(one.rv) if isinstance(one.rv, str) else one.rv, path, str(one.rv) or "rv")


def _fluxes(one: Description, columns: Columns) -> tuple[Array, Array]:
    """Flux and inverse variance, scaled."""
    flux = one.flux_scale * columns[one.flux]
    bad = np.isin(columns[one.flux], BAD_FLUX)
    if one.mask:
        bad |= columns[one.mask] != 0
    if one.error:
        return weigh(flux, one.flux_scale * columns[one.error], bad)
    return mask(flux, columns[one.ivar] / one.flux_scale**2, bad)


def _name(one: Description, columns: Columns, path: Path) -> str:
    name = _card_name(columns, one.id) if one.id else bare_name(path.name)
    if not name:
        raise DataError("holds no name", path=path, field=one.id, remedy="choose another card for id")
    return name


def _card_name(columns: Columns, card: str) -> str:
    return star_name(plain(columns.card(card))) if card else ""


def _labels(one: Description, columns: Columns) -> dict[str, float]:
    cards = {name: card for name, card in one.labels.items() if not name.endswith(ERROR_SUFFIX)}
    return {name: label(columns.card(card), name) for name, card in cards.items()}


def _label_errors(one: Description, columns: Columns) -> dict[str, float]:
    cards = {n.removesuffix(ERROR_SUFFIX): c for n, c in one.labels.items() if n.endswith(ERROR_SUFFIX)}
    return {name: label_error(columns.card(card)) for name, card in cards.items()}


def _metadata(one: Description, columns: Columns) -> dict[str, float | str]:
    """Facts as numbers or text; whole numbers that no float holds are text."""
    found = {name: fact(plain(columns.card(card))) for name, card in one.metadata.items()}
    return {
        name: str(value) if isinstance(value, int) and abs(value) > EXACT else value
        for name, value in found.items()
        if value is not None
    }


def _order(segment: Array, wavelength: Array) -> NDArray[np.intp]:
    """Pixels by detector; turned where wavelengths fall from the first to the last, but not sorted."""
    parts = []
    for number in np.unique(segment):
        (pixels,) = np.nonzero(segment == number)
        parts.append(pixels[::-1] if wavelength[pixels[0]] > wavelength[pixels[-1]] else pixels)
    return np.concatenate(parts)


def _line_spread(
    one: Description, columns: Columns, wavelength: Array, order: NDArray[np.intp]
) -> LineSpread:
    if one.resolving_power:
        return constant_resolution(wavelength[order], one.resolving_power)
    if one.fwhm:
        return LineSpread.single(np.full(len(wavelength), one.fwhm / FWHM_PER_SIGMA))
    return LineSpread.single(columns[one.sigma][order])
