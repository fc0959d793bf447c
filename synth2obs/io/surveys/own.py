"""Any survey: a short TOML says which columns hold what, in which units, medium and frame."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.surveys.own_columns import Columns, angstroms, read_columns
from synth2obs.io.surveys.record import Record, constant_resolution, mask, padded, weigh
from synth2obs.io.surveys.survey import NoOptions, SurveyReader, Unit, choose

Array = NDArray[np.floating[Any]]

SUFFIX = ".toml"
GRIDS = {"format", "files"}
"""Keys that the description of a grid has, see docs/own_grid.md, and that of a survey has not."""

WIDTHS = ("resolving_power", "fwhm", "sigma")
CHOICES = {
    "medium": ("vacuum", "air"),
    "frame": ("rest", "barycentric"),
    "flux_kind": ("normalized", "relative", "absolute"),
}


@dataclass(frozen=True, kw_only=True)
class Description:
    """A survey in its owner's words. Names are those of columns, or of image HDUs; case counts.

    Args:
        name: Domain of the shards.
        wavelength, flux: Names.
        unit: Of the wavelength: any length that astropy knows, or ``log10(Angstrom)``.
        medium: ``vacuum`` or ``air``.
        frame: ``rest`` or ``barycentric``.
        flux_kind: ``normalized``, ``relative`` or ``absolute``.
        error, ivar: Name of the one that there is.
        resolving_power, fwhm, sigma: Line spread: λ / FWHM, FWHM in Å, or the name of a column of σ in Å; one of them.
        mask: Column that is not 0 in bad pixels.
        segment: Column with the number of the detector.
        hdu: Number or name of the table's HDU.
        id: Header card with the star's name; the file's name if empty.
        rv: Velocity in km/s, or the card that holds it.
        labels: Label → header card.
        flux_scale: Factor on flux and error.
        pixels: Number of pixels to which shorter spectra are filled up with bad ones; 0 if all are equally long.
        citation: For the provenance.
    """

    name: str
    wavelength: str
    flux: str
    unit: str
    medium: str
    frame: str
    flux_kind: str
    error: str = ""
    ivar: str = ""
    resolving_power: float = 0.0
    fwhm: float = 0.0
    sigma: str = ""
    mask: str = ""
    segment: str = ""
    hdu: int | str = 1
    id: str = ""
    rv: float | str = float("nan")
    labels: Mapping[str, str] = field(default_factory=dict)
    flux_scale: float = 1.0
    pixels: int = 0
    citation: str = ""


def own_survey(path: str | Path) -> SurveyReader:
    """The survey that a TOML describes.

    Raises:
        DataError: If the file cannot be read, a key is unknown, missing, or has a value that it cannot have.
    """
    description = read_description(Path(path))
    return SurveyReader(
        name=description.name,
        read=partial(_read, description),
        labels=tuple(description.labels),
        about={
            "title": description.name,
            "citation": [description.citation] if description.citation else [],
            "description": {k: v for k, v in vars(description).items() if v == v},
        },
    )


def read_description(path: Path) -> Description:
    """A description file.

    Raises:
        DataError: As `own_survey`.
    """
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot be read ({error})", path=path, remedy="give a description in TOML"
        ) from error
    known = {one.name: one for one in fields(Description)}
    if GRIDS <= set(given):
        remedy = f"write `synth2obs grid join {path} -o grid.h5`"
        raise DataError("describes a theoretical grid, not a survey", path=path, remedy=remedy)
    unknown, missing = (
        sorted(set(given) - set(known)),
        sorted(n for n, one in known.items() if _required(one) and n not in given),
    )
    if unknown or missing:
        raise DataError(
            f"unknown {unknown}, missing {missing}", path=path, remedy=f"known keys: {', '.join(known)}"
        )
    try:
        return _checked(Description(**given))
    except DataError as error:
        raise DataError(str(error), path=path) from error


def _required(one: Any) -> bool:
    return one.default is MISSING and one.default_factory is MISSING


def _checked(one: Description) -> Description:
    for name, kind in get_type_hints(Description).items():
        if not _is_of(getattr(one, name), kind):
            raise DataError(f"is {getattr(one, name)!r}", field=name, remedy="see docs/surveys.md")
    for name, choices in CHOICES.items():
        choose(name, getattr(one, name), choices)
    _exactly_one(one, ("error", "ivar"), "the errors")
    _exactly_one(one, WIDTHS, "the line spread")
    for name in ("resolving_power", "fwhm", "flux_scale", "pixels"):
        if not 0 <= getattr(one, name) < float("inf"):
            raise DataError(f"is {getattr(one, name)}", field=name, remedy="give a positive number")
    if not all(isinstance(card, str) for card in one.labels.values()):
        raise DataError("must name header cards", field="labels", remedy='write teff = "TEFF"')
    return one


def _is_of(value: Any, kind: Any) -> bool:
    """Whether a value of the TOML is of a field's type; a whole number is a float, too, but a truth is no number."""
    if kind in (str, int, float):
        return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)
    return isinstance(value, (str, int, float) if kind in (int | str, float | str) else Mapping)


def _exactly_one(one: Description, names: tuple[str, ...], what: str) -> None:
    given = [name for name in names if getattr(one, name)]
    if len(given) != 1:
        raise DataError(
            f"{what} must be said once, got {given or 'nothing'}",
            field=names[0],
            remedy=f"give one of {', '.join(names)}",
        )


def _read(description: Description, unit: Unit, options: NoOptions) -> Iterator[Record]:
    (path,) = unit
    names = (
        description.wavelength,
        description.flux,
        description.error or description.ivar,
        description.sigma,
        description.mask,
        description.segment,
    )
    columns = read_columns(path, description.hdu, tuple(name for name in names if name))
    yield padded(_record(description, columns, path), description.pixels, path)


def _record(one: Description, columns: Columns, path: Path) -> Record:
    wavelength = angstroms(columns[one.wavelength], one.unit, path)
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
        rv=columns.number(one.rv) if isinstance(one.rv, str) else float(one.rv),
        labels={label: columns.number(card) for label, card in one.labels.items()},
        native={"object": name},
        frame=one.frame,
        flux_kind=one.flux_kind,
        air_formula=AIR_FORMULA if one.medium == "air" else "",
    )


def _fluxes(one: Description, columns: Columns) -> tuple[Array, Array]:
    """Flux and inverse variance, scaled."""
    flux = one.flux_scale * columns[one.flux]
    bad = columns[one.mask] != 0 if one.mask else np.zeros(len(flux), bool)
    if one.error:
        return weigh(flux, one.flux_scale * columns[one.error], bad)
    return mask(flux, columns[one.ivar] / one.flux_scale**2, bad)


def _name(one: Description, columns: Columns, path: Path) -> str:
    name = str(columns.card(one.id) or "") if one.id else path.name.split(".")[0]
    if not name:
        raise DataError("holds no name", path=path, field=one.id, remedy="choose another card for id")
    return name


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
