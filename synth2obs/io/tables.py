"""Results as astropy tables, in memory and on disk."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import atomic_path
from synth2obs.core.text import as_cell, visible
from synth2obs.core.unpacked import first_bytes
from synth2obs.io.text_table import read_text_table

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits", ".parquet": "parquet"}

BINARY = (b"SIMPLE  =", b"PAR1", b"\x89HDF")
"""How tables begin that are no text."""

NAMES = ("id", "survey", "object", "file")
"""Columns whose cells are names, however much they look like numbers."""

ESCAPED = "text escaped as by unicode_escape of Python"
"""Description of a column of text in FITS, which has only ASCII."""

MOST_COLUMNS = 999
"""Of a FITS table (FITS standard 4.0, section 7.3.1)."""


def require_columns(table: Any, names: Sequence[str], path: Path) -> None:
    """Refuse a table that lacks columns.

    Raises:
        DataError: Naming what it lacks, and what it needs.
    """
    missing = [name for name in names if name not in table.colnames]
    if missing:
        lacks, needs = ", ".join(missing), ", ".join(names)
        raise DataError(f"lacks {lacks}", path=path, field="columns", remedy=f"needs {needs}")


def as_table(columns: Mapping[str, ArrayLike], units: Mapping[str, str], **meta: Any) -> Any:
    """An `astropy.table.Table`.

    Args:
        columns: Values by name, shape (N,) each, in order.
        units: Of the columns that have one, as astropy spells it.
        meta: Kept beside the columns.
    """
    from astropy.table import Column, Table

    table = Table(meta=meta)
    for name, values in columns.items():
        table[name] = Column(values, unit=units.get(name))
    return table


def write_table(table: Any, path: Path) -> Path:
    """Write a table, whole or not at all; the format follows the file's ending.

    Units and meta come back from ECSV, FITS and Parquet by `read_table`; CSV has room for neither.

    Raises:
        OutputError: For an unknown ending, more columns than a FITS table can have, or a file that cannot be written.
    """
    check_ending(path)
    if path.suffix == ".fits" and len(table.columns) > MOST_COLUMNS:
        raise OutputError(
            f"{path}: a FITS table has at most {MOST_COLUMNS} columns, got {len(table.columns)}; write .ecsv or .csv"
        )
    if path.suffix == ".fits":
        table = _without_dex(table)
    elif path.suffix != ".parquet":
        table = _on_lines(table, as_cell if path.suffix == ".csv" else visible)
    with atomic_path(path) as temporary:
        table.write(temporary, format=FORMATS[path.suffix], overwrite=True)
    return path


def read_table(path: Path) -> Any:
    """Read a table of any form that astropy recognises.

    Raises:
        DataError: If there is none, or it cannot be read.
    """
    from astropy.table import Table

    try:
        if _is_text(path):
            return _with_meta(read_text_table(path, as_text=NAMES))
        return _unescaped(_with_meta(Table.read(path)))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"cannot be read as a table ({reason})", path=path, remedy="write ECSV, CSV, FITS or Parquet"
        ) from error


def _is_text(path: Path) -> bool:
    """Whether a file is no table in binary form."""
    return not first_bytes(path).startswith(BINARY)


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format.

    Raises:
        OutputError: Then, with the known ones.
    """
    if path.suffix not in FORMATS:
        raise OutputError(f"{path}: cannot tell the format; end the name with {', '.join(FORMATS)}")


def _on_lines(table: Any, written: Callable[[str], str]) -> Any:
    """A copy whose texts stand on one line each."""
    plain = table.copy()
    for name in _texts(plain):
        plain.replace_column(name, _like(plain[name], [written(str(value)) for value in plain[name]]))
    return plain


def _texts(table: Any) -> list[str]:
    """Columns of text."""
    return [name for name in table.colnames if table[name].dtype.kind in "UO"]


def _like(column: Any, values: list[str]) -> Any:
    """A column of text in the place of another."""
    from astropy.table import Column

    return Column(values, name=column.name, unit=column.unit, description=column.description, dtype=str)


def _without_dex(table: Any) -> Any:
    """A copy for FITS, which has no unit dex: the column's description says it instead; meta becomes JSON in cards."""
    plain = table.copy()
    plain.meta = {
        key: value if isinstance(value, str) and _is_plain(value) else json.dumps(value, default=str)
        for key, value in table.meta.items()
    }
    for name in _texts(plain):
        values = [str(value) for value in plain[name]]
        if not all(map(_is_plain, values)):
            escaped = [value.encode("unicode_escape").decode("ascii") for value in values]
            plain.replace_column(name, _like(plain[name], escaped))
            plain[name].description = ESCAPED
    for column in plain.itercols():
        if str(column.unit) == "dex":
            column.unit, column.description = None, "dex"
    return plain


def _is_plain(text: str) -> bool:
    """Whether a text can stand in FITS as it is."""
    return text.isascii() and text.isprintable()


def _unescaped(table: Any) -> Any:
    """A table whose texts are as they were before FITS, or a CSV for spreadsheets, had them in other letters."""
    for name in table.colnames:
        if table[name].description == ESCAPED:
            values = [str(value).encode("ascii").decode("unicode_escape") for value in table[name]]
            table.replace_column(name, _like(table[name], values))
            table[name].description = None
    return table


def _with_meta(table: Any) -> Any:
    """A table whose meta is as it was before FITS made cards of it: names in lower case, JSON read."""
    if not any(key.isupper() for key in table.meta):
        return table
    meta = {}
    for key, value in table.meta.items():
        meta[key.lower()] = value
        with suppress(TypeError, ValueError):
            meta[key.lower()] = json.loads(value)
    table.meta = meta
    return table
