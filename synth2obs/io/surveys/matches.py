"""The same star in two libraries: a small table of star, MILES id, STELIB file."""

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
