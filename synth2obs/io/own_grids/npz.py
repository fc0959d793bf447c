"""Grids in a npz file, read as a stream: a member of several GB is never in memory as a whole."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import refuse_bomb
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
        with self._member(name, any_kind=True):
            # Its size was found to be sensible.
            pass
        with self._zip() as file, file.open(f"{name}.npy") as stream:
            return npy.read_array(stream, allow_pickle=False)

    def rows(self, name: str, columns: slice) -> Iterator[Array]:
        """Blocks of rows, shape (≤ 64, columns); compressed members are unpacked as they are read.

        An array in Fortran's order has to be in memory, as far as its columns are asked for.
        """
        with self._member(name) as (stream, shape, fortran, dtype):
            step = block_rows(shape[1])
            if fortran:
                stream.seek(columns.start * shape[0] * dtype.itemsize, 1)
                turned = self._numbers(stream, columns.stop - columns.start, shape[0], dtype, name).T
                yield from (
                    turned[first : first + step].astype(np.float64) for first in range(0, shape[0], step)
                )
                return
            for first in range(0, shape[0], step):
                count = min(step, shape[0] - first)
                yield self._numbers(stream, count, shape[1], dtype, name)[:, columns].astype(np.float64)

    def _numbers(
        self, stream: IO[bytes], rows: int, width: int, dtype: np.dtype[Any], name: str
    ) -> NDArray[Any]:
        """The next rows of a stream.

        Raises:
            DataError: If it ends before.
        """
        size = rows * width * dtype.itemsize
        content = stream.read(size)
        if len(content) < size:
            raise DataError("is truncated", path=self.path, field=name, remedy=AGAIN)
        return np.frombuffer(content, dtype).reshape(rows, width)

    def _refuse_size(self, member: zipfile.ZipInfo, size: int, name: str) -> None:
        """Refuse an array that is larger than what its file holds, or that unpacks from next to nothing."""
        if size > member.file_size:
            found = f"is truncated: {member.file_size} bytes for an array of {size}"
            raise DataError(found, path=self.path, field=name, remedy=AGAIN)
        refuse_bomb(member.file_size, member.compress_size, self.path, name)

    @contextmanager
    def _zip(self) -> Iterator[zipfile.ZipFile]:
        """The open file; whatever goes wrong with it is a DataError."""
        try:
            with zipfile.ZipFile(self.path) as file:
                yield file
        except DataError:
            raise
        except (
            OSError,
            ValueError,
            EOFError,
            KeyError,
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise DataError(
                f"cannot be read as npz ({type(error).__name__}: {error})", path=self.path, remedy=AGAIN
            ) from error

    @contextmanager
    def _member(
        self, name: str, any_kind: bool = False
    ) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype[Any]]]:
        """An array's stream behind its header, shape, order and type."""
        with self._zip() as file, file.open(f"{name}.npy") as stream:
            version = npy.read_magic(stream)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(stream)
            self._refuse_size(file.getinfo(f"{name}.npy"), math.prod(shape) * dtype.itemsize, name)
            if dtype.kind not in "fiu" and not any_kind:
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
