"""Labels and facts of stars in a table of anybody's own, by the spectra's ids, objects or files."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.labels import KNOWN, plausible, unit_of
from synth2obs.io.shard.layout import ERROR_SUFFIX
from synth2obs.io.surveys.fits_file import open_mapped, refuse_unreadable
from synth2obs.io.surveys.own_columns import is_fits
from synth2obs.io.surveys.own_rows import EXACT, plain, star_name
from synth2obs.io.surveys.star_tables import open_star_table
from synth2obs.io.surveys.survey import FILE, ID, OBJECT, Column, Parameters
from synth2obs.io.surveys.unknown import NINES
from synth2obs.io.text_table import read_text_table

Cells = list[str | int | float | None]

KEYS = (ID, FILE, OBJECT)
"""Columns that say whose row it is; the first that there is counts."""

OTHER_FORMATS = (b"PAR1", b"\x89HDF")


def names_spectra(path: Path) -> bool:
    """Whether a table has a column `KEYS`, in lower case; False for what is no table."""
    try:
        if is_fits(path):
            with open_mapped(path, verify=False) as hdus:
                names = hdus[1].columns.names if len(hdus) > 1 else []
        else:
            names = list(_columns(path))
    except Exception:
        return False
    return any(key in names for key in KEYS)


def read_star_labels(path: Path, renamed: Mapping[str, str] | None = None) -> Parameters:
    """Labels by our names, in our units unless the table says others; all other columns become facts.

    Args:
        path: CSV, ECSV, text with a header, FITS, Parquet or HDF5.
        renamed: Our names of columns that stand under others.

    Raises:
        DataError: If the table cannot be read or has no rows, no row says whose it is, two are of one spectrum,
            a label is no number, or in a unit that cannot be converted.
    """
    columns = {(renamed or {}).get(name, name): column for name, column in _columns(path).items()}
    key = next((name for name in KEYS if name in columns), None)
    if key is None:
        there = f"there are {', '.join(columns)}"
        raise DataError(
            f"has no column {', '.join(KEYS)}", path=path, remedy=f"say whose each row is; {there}"
        )
    names = list(_names(columns[key][0], key, path))
    others = {name: column for name, column in columns.items() if name not in KEYS}
    labels = {name: _label(name, *column, path) for name, column in others.items() if _is_label(name)}
    errors = {name for name in labels if name.endswith(ERROR_SUFFIX)}
    return Parameters(
        objects=np.array(names),
        values={name: values for name, values in labels.items() if name not in errors},
        errors={name.removesuffix(ERROR_SUFFIX): labels[name] for name in errors},
        facts={_plain_name(n): _fact(cells) for n, (cells, _) in others.items() if n not in labels},
        key=key,
    )


def _starts(path: Path, starts: tuple[bytes, ...]) -> bool:
    refuse_unreadable(path)
    with path.open("rb") as stream:
        return stream.read(16).startswith(starts)


def _columns(path: Path) -> dict[str, tuple[Cells, Any]]:
    """Cells and unit of every column of one value a row."""
    if _starts(path, OTHER_FORMATS):
        with open_star_table(path, 1) as table:
            return {
                name: ([plain(value) for value in table.whole(name)], None)
                for name, shape in table.shapes.items()
                if len(shape) == 1
            }
    read = _table(path)
    return {n: ([plain(v) for v in read[n]], read[n].unit) for n in read.colnames if read[n].ndim == 1}


def _table(path: Path) -> Any:
    from astropy.table import Table

    if not is_fits(path):
        # A name such as 0017 is no number.
        return read_text_table(path, as_text=KEYS)
    try:
        with warnings.catch_warnings(), open_mapped(path) as hdus:
            warnings.simplefilter("ignore")
            return Table.read(hdus)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read as a table ({type(error).__name__})",
            path=path,
            remedy="give CSV, ECSV, FITS, Parquet, HDF5 or text with a header",
        ) from error


def _names(cells: Cells, key: str, path: Path) -> Iterator[str]:
    """Of every row, each once."""
    if not cells:
        raise DataError("has no rows", path=path, remedy="give at least one star")
    seen: dict[str, int] = {}
    for row, cell in enumerate(cells):
        name = Path(star_name(cell)).name if key == FILE else star_name(cell)
        if not name:
            raise DataError(
                f"is blank in row {row}", path=path, field=key, remedy="name it or remove the row"
            )
        if name in seen:
            found = f"{name} has several rows ({seen[name]} and {row}, from 0)"
            raise DataError(found, path=path, field=key, remedy="keep one row a spectrum")
        seen[name] = row
        yield name


def _is_label(name: str) -> bool:
    return name.removesuffix(ERROR_SUFFIX) in KNOWN


def _label(name: str, cells: Cells, unit: Any, path: Path) -> Column:
    """A label in our unit, shape (M,); what cannot be, such as −9999, is unknown."""
    text = next((cell for cell in cells if isinstance(cell, str)), None)
    if text is not None:
        raise DataError(
            f"holds {text!r}, no number", path=path, field=name, remedy="leave unknown cells blank"
        )
    own = name.removesuffix(ERROR_SUFFIX)
    values = np.array([np.nan if cell is None else float(cell) for cell in cells]) * _factor(
        own, unit, name, path
    )
    if own != name:
        return np.where(values >= 0, values, np.nan)
    low, high = plausible(name)
    marks = np.array([bool(NINES.fullmatch(f"{value:.6g}")) for value in values], bool)
    values = np.where(marks, np.nan, values)
    inside = (values >= low) & (values <= high)
    if np.isfinite(values).any() and inside.sum() * 2 < np.isfinite(values).sum():
        found = f"is {np.nanmedian(values):g} {unit_of(name)} in the middle, not within {low:g} to {high:g}"
        raise DataError(found, path=path, field=name, remedy=f"convert it to {unit_of(name)}")
    return np.where(inside, values, np.nan)


def _factor(label: str, unit: Any, name: str, path: Path) -> float:
    """From the table's unit to ours; a table that says none has ours."""
    from astropy import units

    wanted, said = unit_of(label), str(unit or "")
    if not said or (wanted.startswith("dex") and re.search(r"dex|log|\[", said)):
        return 1.0
    try:
        return float(unit.to("" if wanted.startswith("dex") else wanted))
    except (units.UnitConversionError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"has unit {said}, not {wanted}", path=path, field=name, remedy=f"convert it to {wanted}"
        ) from error


def _plain_name(name: str) -> str:
    """A column's name without what a shard's names cannot have."""
    return re.sub(r"\W+", "_", name).strip("_") or "column"


def _fact(cells: Sequence[str | int | float | None]) -> NDArray[Any]:
    """Numbers, or text if there is any, or whole numbers that no float holds."""
    if any(isinstance(cell, str) or (isinstance(cell, int) and abs(cell) > EXACT) for cell in cells):
        return np.array(["" if cell is None else str(cell) for cell in cells])
    return np.array([np.nan if cell is None else float(cell) for cell in cells])
