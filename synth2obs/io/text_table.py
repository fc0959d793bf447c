"""Text tables of anybody's: CSV, ECSV or columns with a header; marks, comments and gzip do not matter."""

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.text import from_cell
from synth2obs.core.unpacked import read_text, suffix_of, uncommented

FORMATS = {".csv": "ascii.csv", ".ecsv": "ascii.ecsv"}
COMMENT = "#"
SEPARATORS = ";\t|"
"""What may stand between the cells of a CSV without commas."""


def read_text_table(path: Path, as_text: Iterable[str] = ()) -> Any:
    """A text table as astropy has it.

    Lines that begin with ``#`` are comments; of a table whose first line holds numbers alone, the last comment before
    it is the header.

    Args:
        path: The file, gzipped or not.
        as_text: Columns whose cells are names, however much they look like numbers.

    Raises:
        DataError: If it cannot be read.
    """
    from astropy.table import Table

    # Letters beyond ASCII stand in comments and names; in which encoding does not matter to numbers.
    lines = read_text(path, fallback="latin-1").splitlines()
    kind = FORMATS.get(suffix_of(path), "ascii")
    options: dict[str, Any] = {} if kind == "ascii.ecsv" else {"converters": dict.fromkeys(as_text, str)}
    if kind == "ascii.csv":
        lines = _with_header(lines)
        options |= {"delimiter": _separator(lines)}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _unquoted(Table.read(lines, format=kind, **options), as_text)
    except Exception as error:
        raise DataError(
            f"cannot be read as a text table ({type(error).__name__}: {_first(error)})",
            path=path,
            remedy="give CSV, ECSV, or columns of text with a header",
        ) from error


def _unquoted(table: Any, names: Iterable[str]) -> Any:
    """A table whose names are without the quote that keeps a spreadsheet from computing them."""
    for name in names:
        cells = table[name].tolist() if name in table.colnames else []
        for row, value in enumerate(cells):
            if isinstance(value, str) and from_cell(value) != value:
                table[name][row] = from_cell(value)
    return table


def _first(error: Exception) -> str:
    """What an error says, without the pages that astropy adds."""
    text = str(error).strip()
    return (text.splitlines() or [""])[0][:200]


def _with_header(lines: list[str]) -> list[str]:
    """Lines of a CSV without comments, the header first."""
    plain = uncommented(lines, COMMENT)
    if not plain or not all(map(_is_number, next(csv.reader(plain[:1]), []))):
        return plain
    before = [line for line in lines[: lines.index(plain[0])] if line.lstrip().startswith(COMMENT)]
    return ([before[-1].lstrip().lstrip(COMMENT).strip()] if before else []) + plain


def _separator(lines: list[str]) -> str:
    header = lines[0] if lines else ""
    return "," if "," in header else next((one for one in SEPARATORS if one in header), ",")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
