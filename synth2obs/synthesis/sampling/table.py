"""Labels that somebody has listed."""

import csv
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from synth2obs.core.config import Section
from synth2obs.core.errors import DataError
from synth2obs.core.files import write_atomic
from synth2obs.core.unpacked import read_text

Array = NDArray[np.float64]


class TableConfig(Section):
    """A CSV file with a column for every label."""

    name: Literal["table"] = Field(default="table", description="entry of the registry")
    file: str = Field(description="CSV file; beside the recipe if the path is relative")


class Table:
    """Reads the labels of a file.

    Args:
        config: Where it is.
    """

    Config: ClassVar[Any] = TableConfig

    def __init__(self, config: TableConfig) -> None:
        self.config = config

    def draw(
        self, names: tuple[str, ...], ranges: dict[str, tuple[float, float]], spectra: int, seed: int
    ) -> Array:
        """The first labels of the file, shape (N, K).

        Raises:
            DataError: If a column is missing, a value is no number or outside its range, or there are too few rows.
        """
        path = Path(self.config.file)
        rows = _rows(path)[:spectra]
        if len(rows) < spectra:
            raise DataError(
                f"has {len(rows)} rows, {spectra} are asked for", path=path, remedy="lower grid.spectra"
            )
        return np.array([[_value(path, number, row, name, ranges) for name in names] for number, row in rows])


def write_table(names: tuple[str, ...], labels: Array, path: Path) -> None:
    """Write labels, shape (N, K), as such a file.

    Raises:
        OutputError: If it cannot be written.
    """
    rows = [",".join(names), *(",".join(f"{value:.6g}" for value in row) for row in labels)]
    write_atomic(path, ("\n".join(rows) + "\n").encode())


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    return list(enumerate(csv.DictReader(read_text(path).splitlines()), 2))


def _value(
    path: Path, number: int, row: dict[str, str], name: str, ranges: dict[str, tuple[float, float]]
) -> float:
    low, high = ranges[name]
    try:
        value = float(row[name])
    except (KeyError, TypeError, ValueError):
        raise DataError(
            f"row {number} has no number: {row.get(name)!r}",
            path=path,
            field=name,
            remedy="give every label a column",
        ) from None
    if not low <= value <= high:
        raise DataError(
            f"row {number}: {value:g} lies outside {low:g} to {high:g}",
            path=path,
            field=name,
            remedy="widen labels.ranges in the recipe, or leave the row out",
        )
    return value
