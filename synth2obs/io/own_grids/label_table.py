"""Labels that do not stand beside the flux: in a table, or in the names of the spectra's files."""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import bare_name
from synth2obs.io.own_grids.description import Description
from synth2obs.io.surveys.fits_file import open_mapped
from synth2obs.io.surveys.own_columns import is_fits, numbers
from synth2obs.io.text_table import read_text_table

Array = NDArray[np.float64]


def read_table(path: Path, columns: Sequence[str]) -> dict[str, Array]:
    """Columns of numbers of a text table or of a FITS table, shape (N,) each.

    Raises:
        DataError: If it cannot be read, lacks a column, or a value is no number.
    """
    table = _open(path)
    return {name: _numbers(table, name, path) for name in columns}


def labels_by_file(one: Description, path: Path, files: Sequence[Path]) -> dict[str, Array]:
    """Columns of a table that has a row for every file, in the order of the files.

    Raises:
        DataError: If a file has no row, several, or a row no file.
    """
    table = _open(path)
    if one.file_column not in table.colnames:
        raise _no_column(path, one.file_column, table.colnames)
    named = [Path(str(name).strip()).name for name in table[one.file_column]]
    row = {name: number for number, name in enumerate(named)}
    stems = {bare_name(name): number for name, number in row.items()}
    if len(row) < len(named):
        twice = next(name for name in named if named.count(name) > 1)
        raise DataError(
            f"{twice} has several rows", path=path, field=one.file_column, remedy="keep one row a file"
        )
    rows = [row.get(file.name, stems.get(bare_name(file.name), -1)) for file in files]
    _refuse_unmatched(rows, named, files, path)
    return {name: _numbers(table, name, path)[rows] for name in one.columns}


def _refuse_unmatched(rows: list[int], named: list[str], files: Sequence[Path], path: Path) -> None:
    if -1 in rows:
        raise DataError(
            f"{files[rows.index(-1)].name} has no row ({rows.count(-1)} of {len(files)} files)",
            path=path,
            field="labels",
            remedy="give every spectrum its labels, or narrow the pattern of files",
        )
    left = sorted(set(range(len(named))) - set(rows))
    if left:
        raise DataError(
            f"{named[left[0]]} has labels, but no file ({len(left)} such rows)",
            path=path,
            field="labels",
            remedy="copy the missing spectra, or remove their rows",
        )


def labels_by_name(one: Description, files: Sequence[Path]) -> dict[str, Array]:
    """Labels that stand in the files' names, by the named groups of a regular expression.

    Raises:
        DataError: If the expression is none, lacks a group, or does not find a number in a name.
    """
    expression = _expression(one, files[0].parent)
    found = [_groups(expression, file) for file in files]
    return {name: np.array([groups[_group(name)] for groups in found]) for name in one.columns}


def _expression(one: Description, folder: Path) -> re.Pattern[str]:
    try:
        expression = re.compile(one.pattern)
    except re.error as error:
        raise DataError(
            f"is no regular expression ({error})", path=folder, field="pattern", remedy="correct it"
        ) from error
    for name in one.columns:
        if _group(name) not in expression.groupindex:
            remedy = f"write (?P<{_group(name)}>...) where the name has it"
            raise DataError(f"has no group for {name!r}", path=folder, field="pattern", remedy=remedy)
    return expression


def _group(column: str) -> str:
    """The name of a group; what is no letter, digit or underscore is left out of it."""
    return re.sub(r"\W", "", column)


def _groups(expression: re.Pattern[str], file: Path) -> dict[str, float]:
    found = expression.search(file.name)
    if found is None:
        raise DataError("does not fit the name", path=file, field="pattern", remedy="correct the expression")
    try:
        return {name: float(text) for name, text in found.groupdict().items() if text is not None}
    except ValueError as error:
        raise DataError(
            f"finds no number ({error})", path=file, field="pattern", remedy="correct the expression"
        ) from error


def _open(path: Path) -> Any:
    from astropy.table import Table

    if not path.is_file():
        raise DataError("no such file", path=path, field="label_table", remedy="check the name")
    if not is_fits(path):
        return read_text_table(path)
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
            field="label_table",
            remedy="give CSV, ECSV, FITS or columns of text with a header",
        ) from error


def _numbers(table: Any, name: str, path: Path) -> Array:
    if name not in table.colnames:
        raise _no_column(path, name, table.colnames)
    column = table[name]
    if column.dtype.kind != "f" and np.any(getattr(column, "mask", False)):
        raise DataError("is blank for a spectrum", path=path, field=name, remedy="leave the spectrum out")
    return numbers(column, path, name)


def _no_column(path: Path, name: str, there: Sequence[str]) -> DataError:
    return DataError(
        f"no column {name!r}", path=path, field="label_table", remedy=f"there are {', '.join(there)}"
    )
