"""Results as astropy tables, in memory and on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import atomic_path

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", ".fits": "fits"}

MOST_COLUMNS = 999
"""Of a FITS table (FITS standard 4.0, section 7.3.1)."""


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
        return Table.read(path)
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise DataError(
            f"cannot be read as a table ({reason})", path=path, remedy="write CSV, ECSV or FITS"
        ) from error


def check_ending(path: Path) -> None:
    """Refuse a file whose ending names no format.

    Raises:
        OutputError: Then, with the known ones.
    """
    if path.suffix not in FORMATS:
        raise OutputError(f"{path}: cannot tell the format; end the name with {', '.join(FORMATS)}")


def _without_dex(table: Any) -> Any:
    """A copy for FITS, which has no unit dex: the column's description says it instead."""
    plain = table.copy()
    plain.meta = {key: str(value) for key, value in table.meta.items()}
    for column in plain.itercols():
        if str(column.unit) == "dex":
            column.unit, column.description = None, "dex"
    return plain
