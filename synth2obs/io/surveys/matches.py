"""The same star in several surveys."""

import csv
from collections.abc import Collection
from pathlib import Path

from synth2obs.core.errors import DataError


def read_matches(path: str | Path) -> dict[str, str]:
    """MILES id (``MILES_0018``) to STELIB id (``HD002857``).

    Args:
        path: Text table; columns star, MILES id and STELIB file or id, separated by blanks or commas.
            Lines that start with ``#`` or ``star`` are headings.

    Raises:
        DataError: If it cannot be read, a row lacks a column, or a star occurs twice.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="check the name") from error
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
            Other columns are ignored.
        surveys: Names of the surveys that are wanted, in any order.

    Returns:
        Survey → id → common name, which is the id in the first column of a wanted survey.

    Raises:
        DataError: If it cannot be read, has no column of any of the surveys, or names an id twice.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = csv.DictReader(file)
            columns = [name for name in rows.fieldnames or () if name in surveys]
            table = [[row[name] or "" for name in columns] for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="check the name") from error
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
