"""A row per star in FITS: columns of a table, images with a row per star, and vectors that all share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.fits_file import open_mapped
from synth2obs.io.surveys.own_columns import table_column
from synth2obs.io.surveys.star_tables.contract import SlicedTable

INSIDE = "/"
"""Between an HDU and its column, for columns of other tables than the main one."""


class FitsTable(SlicedTable):
    """Columns of the main table by name, those of others as ``HDU/column``, images by the name of their HDU.

    Args:
        path: The file.
        hdus: astropy's list, open.
        hdu: The main table; it need not be there if all is in images.
    """

    def __init__(self, path: Path, hdus: Any, hdu: int | str) -> None:
        self.path, self._places = path, dict(_places(hdus, hdu))
        self.shapes = {name: _shape(data, column) for name, (data, column) in self._places.items()}

    def rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Some rows of an array; of a file that is not compressed no more is read."""
        data, column = self._places[name]
        return table_column(data[rows], column) if column else np.asarray(data[rows])

    def unit(self, name: str) -> str:
        """TUNIT of a column, or nothing."""
        data, column = self._places[name]
        return str(data.columns[column].unit or "") if column else ""


def _places(hdus: Any, main: int | str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """Data and column of every name; those of the main table come last, and win."""
    numbers = [number for number in range(len(hdus)) if hdus[number].data is not None]
    numbers.sort(
        key=lambda number: main in (number, hdus[number].name) or hdus[number].name == str(main).upper()
    )
    for number in numbers:
        data, name = hdus[number].data, hdus[number].name
        if data.dtype.names is None:
            yield name or str(number), (data, "")
            continue
        for column in data.dtype.names:
            yield f"{name or number}{INSIDE}{column}", (data, column)
            if number == numbers[-1]:
                yield column, (data, column)


def _shape(data: Any, column: str) -> tuple[int, ...]:
    if not column:
        return tuple(data.shape)
    field = data.dtype[column]
    ragged = data.columns[column].format.lstrip("0123456789")[:1] in "PQ"
    return (len(data), -1) if ragged else (len(data), *field.shape)


@contextmanager
def open_fits_table(path: Path, hdu: int | str) -> Iterator[FitsTable]:
    """A FITS file as a table of stars.

    Raises:
        DataError: If it holds no data.
    """
    with open_mapped(path) as hdus:
        table = FitsTable(path, hdus, hdu)
        if not table.shapes:
            raise DataError("holds neither a table nor an image", path=path, remedy="check the file")
        yield table
