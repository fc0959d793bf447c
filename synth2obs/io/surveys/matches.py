"""The same star in several surveys."""

import csv
import difflib
import re
from collections.abc import Collection
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text, uncommented


def read_matches(path: str | Path) -> dict[str, str]:
    """MILES id (``MILES_0018``) to STELIB id (``HD002857``).

    Args:
        path: Text table; columns star, MILES id and STELIB file or id, separated by blanks or commas.
            Lines that start with ``#`` or ``star`` are headings.

    Raises:
        DataError: If it cannot be read, a row lacks a column, or a star occurs twice.
    """
    path = Path(path)
    lines = read_text(path).splitlines()
    rows = [line.replace(",", " ").split() for line in lines if line.strip() and not line.startswith("#")]
    matches: dict[str, str] = {}
    for row in rows:
        if row[0] == "star":
            continue
        miles, stelib = _pair(row, path)
        if miles in matches or stelib in matches.values():
            raise DataError(f"{miles} or {stelib} occurs twice", path=path, remedy="keep one row per star")
        matches[miles] = stelib
    return matches


def _pair(row: list[str], path: Path) -> tuple[str, str]:
    if len(row) != 3:
        raise DataError(
            f"a row must be star, MILES id, STELIB file; got {' '.join(row)!r}",
            path=path,
            remedy="separate the columns by blanks or commas",
        )
    return row[1], row[2].removeprefix("STELIB_v3.2_").removesuffix(".fits")


def read_twins(path: str | Path, surveys: Collection[str]) -> dict[str, dict[str, str]]:
    """For every survey, the id of each shared star and a name that the surveys have in common for it.

    Args:
        path: CSV with a header; a column named like a survey holds the star's id there, empty if it is not in it.
            Other columns are ignored, unless they look like the misspelt name of a survey without a column.
        surveys: Names of the surveys that are wanted, in any order.

    Returns:
        Survey → id → common name, which is the id in the first column of a wanted survey.

    Raises:
        DataError: If it cannot be read, has no column of any of the surveys, a misspelt one, or names an id twice.
    """
    header, *rows = _cells(Path(path))
    _refuse_misspelt(header, surveys, Path(path))
    places = {name: place for place, name in enumerate(header) if name in surveys}
    columns = list(places)
    table = [[row[place] for place in places.values()] for row in rows]
    if not columns:
        raise DataError(
            f"has a column for none of {', '.join(sorted(surveys))}",
            path=path,
            remedy="write a CSV whose header names the surveys, or set data.same_stars to an empty text",
        )
    twins: dict[str, dict[str, str]] = {name: {} for name in columns}
    for row in table:
        common = next((own for own in row if own), "")
        for name, own in zip(columns, row, strict=True):
            if own and own in twins[name]:
                raise DataError(f"{own} occurs twice in {name}", path=path, remedy="keep one row per star")
            if own:
                twins[name][own] = common
    return twins


def _cells(path: Path) -> list[list[str]]:
    """Header and rows, of equal length, without blanks around the cells."""
    lines = uncommented(read_text(path).splitlines())
    separator = ";" if lines and ";" in lines[0] and "," not in lines[0] else ","
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator, strict=True)]
    except csv.Error as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="write a CSV with a header") from error
    for number, row in enumerate(rows):
        if len(row) != len(rows[0]):
            found = f"row {number} has {len(row)} cells, the header {len(rows[0])}"
            raise DataError(found, path=path, remedy="give every row a cell for every column")
    return rows or [[]]


def _refuse_misspelt(header: list[str], surveys: Collection[str], path: Path) -> None:
    """Refuse a column twice, and one nearly called like a survey that has none: its stars would be forgotten."""
    from synth2obs.io.surveys import READERS

    folded = {_letters(name): name for name in surveys if name not in header}
    for name in header:
        near = difflib.get_close_matches(_letters(name), folded, 1, cutoff=0.7)
        if header.count(name) > 1:
            raise DataError("stands twice in the header", path=path, field=name, remedy="keep one column")
        numbered = near and near[0] == _letters(name) and folded[near[0]].casefold() != name.casefold()
        if near and not numbered and name not in surveys and name not in READERS:
            remedy = f"write {folded[near[0]]!r} if it is meant, or call the column otherwise"
            raise DataError(f"column {name!r} is of no survey", path=path, field=name, remedy=remedy)


def _letters(name: str) -> str:
    """A name without what tells ``mine_1`` from ``mine_2``."""
    return re.sub(r"\d", "", name).casefold()
