"""A survey in its owner's words: a short TOML, and what it may say."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, get_type_hints

from synth2obs.core.errors import DataError
from synth2obs.core.labels import KNOWN
from synth2obs.core.names import label_suggestion, name_problem
from synth2obs.core.unpacked import read_text
from synth2obs.io.shard.layout import ERROR_SUFFIX
from synth2obs.io.surveys.survey import choose

GRIDS = {"format", "files"}
"""Keys that the description of a grid has, see docs/own_grid.md, and that of a survey has not."""

STARS = "stars"
"""Value of ``rows`` for files with a row per star."""

WIDTHS = ("resolving_power", "fwhm", "sigma")
CHOICES = {
    "medium": ("vacuum", "air"),
    "frame": ("rest", "barycentric"),
    "flux_kind": ("normalized", "relative", "absolute"),
    "rows": ("pixels", "stars"),
}
RESERVED = ("file", "sha256", "object")
"""Names of facts that every survey has already."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """A survey in its owner's words. Names are those of columns, image HDUs or datasets; case counts.

    Args:
        name: Domain of the shards.
        wavelength, flux: Names.
        rows: What a row of the file is: a pixel of its one star, or a star with arrays in its cells.
        unit: Of the wavelength: any length that astropy knows, or ``log10(Angstrom)``.
        medium: ``vacuum`` or ``air``.
        frame: ``rest`` or ``barycentric``.
        flux_kind: ``normalized``, ``relative`` or ``absolute``.
        error, ivar: Name of the one that there is.
        resolving_power, fwhm, sigma: Line spread: λ / FWHM, FWHM in Å, or the name of a column of σ in Å; one of them.
        mask: Column that is not 0 in bad pixels.
        segment: Column with the number of the detector.
        hdu: Number or name of the table's HDU; group or dataset of records in HDF5.
        id: Header card (or column, if a row is a star) with the spectrum's name; the file's name if empty.
        object: The same with the star's name, where several spectra are of one star.
        rv: Velocity in km/s, or the card or column that holds it.
        labels: Label, or ``<label>_error`` → card or column.
        metadata: Whatever else is to be carried along → card or column, numbers or text.
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
    rows: str = "pixels"
    error: str = ""
    ivar: str = ""
    resolving_power: float = 0.0
    fwhm: float = 0.0
    sigma: str = ""
    mask: str = ""
    segment: str = ""
    hdu: int | str = 1
    id: str = ""
    object: str = ""
    rv: float | str = float("nan")
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    flux_scale: float = 1.0
    pixels: int = 0
    citation: str = ""


def read_description(path: Path) -> Description:
    """A description file.

    Raises:
        DataError: As `own_survey`.
    """
    try:
        given = tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
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
    _check_names(one)
    return one


def _check_names(one: Description) -> None:
    """A name that a survey can have, labels that there are, and facts whose names are free."""
    if wrong := name_problem(one.name):
        raise DataError(f"{one.name!r} cannot name a survey", field="name", remedy=wrong)
    for table, example in (("labels", 'teff = "TEFF"'), ("metadata", 'fibre = "FIBERID"')):
        if not all(isinstance(card, str) for card in getattr(one, table).values()):
            raise DataError("must name header cards or columns", field=table, remedy=f"write {example}")
    for name in one.labels:
        if name.removesuffix(ERROR_SUFFIX) not in KNOWN:
            near = difflib.get_close_matches(label_suggestion(name), KNOWN, 3, cutoff=0.4)
            known = f"the nearest are {', '.join(near)}" if near else f"there are {', '.join(KNOWN[:8])} …"
            remedy = f"{known}; what is no label goes into [metadata]"
            raise DataError(f"unknown label {name!r}", field="labels", remedy=remedy)
    for name in one.metadata:
        if name in RESERVED or not name.isidentifier():
            remedy = "use letters, digits and underscores"
            raise DataError(f"{name!r} cannot be used, or is taken", field="metadata", remedy=remedy)
    if one.rows == STARS and not one.id:
        raise DataError("is not said", field="id", remedy="name the column with the spectra's names")


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
