"""Grids in a npz file, read as a stream: a member of several GB is never in memory as a whole."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.arrays import read_arrays
from synth2obs.io.own_grids.contract import ForeignGrid, Format, block_rows
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.files import beside, only

Array = NDArray[np.float64]

AGAIN = "copy the file again"


class NpzStore:
    """The arrays of a npz file; pickled objects are refused.

    Args:
        path: The file.

    Raises:
        DataError: If it is no npz file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._zip() as file:
            self._names = [name.removesuffix(".npy") for name in file.namelist()]

    def names(self) -> list[str]:
        """Of all arrays."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array that is there."""
        with self._member(name) as (_, shape, _, _):
            return shape

    def array(self, name: str) -> NDArray[Any]:
        """A whole array."""
        with self._zip() as file, file.open(f"{name}.npy") as stream:
            return npy.read_array(stream, allow_pickle=False)

    def rows(self, name: str, columns: slice) -> Iterator[Array]:
        """Blocks of rows, shape (≤ 64, columns); compressed members are unpacked as they are read."""
        with self._member(name) as (stream, shape, fortran, dtype):
            if fortran:
                raise DataError(
                    "is stored by columns",
                    path=self.path,
                    field=name,
                    remedy="save np.ascontiguousarray of it, so that spectra can be read one after the other",
                )
            step, width = block_rows(shape[1]), shape[1] * dtype.itemsize
            for first in range(0, shape[0], step):
                count = min(step, shape[0] - first)
                content = stream.read(count * width)
                if len(content) < count * width:
                    raise DataError("is truncated", path=self.path, field=name, remedy=AGAIN)
                yield np.frombuffer(content, dtype).reshape(count, -1)[:, columns].astype(np.float64)

    @contextmanager
    def _zip(self) -> Iterator[zipfile.ZipFile]:
        """The open file; whatever goes wrong with it is a DataError."""
        try:
            with zipfile.ZipFile(self.path) as file:
                yield file
        except DataError:
            raise
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:  # type: ignore[attr-defined]
            raise DataError(
                f"cannot be read as npz ({type(error).__name__}: {error})", path=self.path, remedy=AGAIN
            ) from error

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]]:
        """An array's stream behind its header, shape, order and type."""
        with self._zip() as file, file.open(f"{name}.npy") as stream:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            if dtype.kind not in "fiu":
                raise DataError(
                    f"holds {dtype}, no numbers", path=self.path, field=name, remedy="check the name"
                )
            yield stream, shape, fortran and len(shape) > 1, dtype


def read_npz(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """A grid in one npz file; the wavelengths may stand in a second one, or in a npy file.

    Raises:
        DataError: If a file is no npz, lacks an array, or shapes disagree.
    """
    store = NpzStore(only(files))
    wavelengths = NpzStore(beside(store.path, one.wavelength_file)) if one.wavelength_file else store
    return read_arrays(one, store, wavelengths)


NPZ = Format(read=read_npz)
