"""Grids in one FITS file: images, and tables with a row a spectrum. Flux is mapped, not loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.arrays import read_arrays
from synth2obs.io.own_grids.contract import ForeignGrid, Format, block_rows
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.files import beside, only
from synth2obs.io.surveys.fits_file import open_mapped

Array = NDArray[np.float64]


class FitsStore:
    """The columns of all tables of a FITS file, and its images, by name. Images count by HDU name, case does not.

    Args:
        path: The file.

    Raises:
        DataError: If it is no FITS file, or two HDUs have a column of one name.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._verified = path, False
        self._places: dict[str, tuple[int, str]] = {}
        with self._open() as hdus:
            for number, hdu in enumerate(hdus):
                self._note(number, hdu)

    def names(self) -> list[str]:
        """Of all columns and images."""
        return list(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a column or an image that is there."""
        with self._open() as hdus:
            return tuple(self._data(hdus, name).shape)

    def array(self, name: str) -> NDArray[Any]:
        """A whole column or image; a cell that holds a vector stands for the vector."""
        with self._open() as hdus:
            values = np.array(self._data(hdus, name))
        return values[0] if values.ndim == 2 and len(values) == 1 else values

    def rows(self, name: str, columns: slice) -> Iterator[Array]:
        """Blocks of rows, shape (≤ 64, columns)."""
        with self._open() as hdus:
            data = self._data(hdus, name)
            step = block_rows(data.shape[1])
            for first in range(0, len(data), step):
                yield np.array(data[first : first + step, columns], dtype=np.float64)

    def _note(self, number: int, hdu: Any) -> None:
        if hasattr(hdu, "columns"):
            places = {name: (number, name) for name in hdu.columns.names}
        else:
            places = {str(hdu.name): (number, "")} if hdu.header.get("NAXIS", 0) else {}
        twice = sorted(places.keys() & self._places.keys())
        if twice:
            raise DataError(
                "is the name of two columns or images",
                path=self.path,
                field=twice[0],
                remedy="rename one",
            )
        self._places |= places

    def _data(self, hdus: Any, name: str) -> Any:
        number, column = self._places[name]
        return hdus[number].data[column] if column else hdus[number].data

    @contextmanager
    def _open(self) -> Iterator[Any]:
        """The HDUs; whatever goes wrong with them is a DataError about this file."""
        try:
            with open_mapped(self.path, verify=not self._verified) as hdus:
                self._verified = True
                yield hdus
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"cannot be read as FITS ({type(error).__name__}: {error})",
                path=self.path,
                remedy="copy the file again",
            ) from error


def read_fits(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """A grid in one FITS file; the wavelengths may stand in a second one.

    Raises:
        DataError: If a file is no FITS, lacks a column or image, or shapes disagree.
    """
    store = FitsStore(only(files))
    wavelengths = FitsStore(beside(store.path, one.wavelength_file)) if one.wavelength_file else store
    return read_arrays(one, store, wavelengths)


FITS = Format(read=read_fits)
