"""Grids in an HDF5 file, read in blocks of rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.io.own_grids.arrays import read_arrays
from synth2obs.io.own_grids.contract import ForeignGrid, Format, block_rows
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.files import beside, only
from synth2obs.io.shard.layout import open_shard

Array = NDArray[np.float64]

FIELD = "."
"""Between a dataset of records and one of its fields, e.g. ``labels.teff``."""


class Hdf5Store:
    """The datasets of an HDF5 file, and the fields of those that are tables of records.

    Args:
        path: The file.

    Raises:
        DataError: If it is no HDF5 file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._shapes: dict[str, tuple[int, ...]] = {}
        with open_shard(path) as file:
            file.visititems(self._note)

    def names(self) -> list[str]:
        """Of all datasets, and of the fields of records."""
        return list(self._shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a dataset that is there."""
        return self._shapes[name]

    def array(self, name: str) -> NDArray[Any]:
        """A whole dataset."""
        with open_shard(self.path) as file:
            if name in file:
                return np.asarray(file[name][()])
            dataset, _, field = name.rpartition(FIELD)
            return np.asarray(file[dataset][field])

    def rows(self, name: str, columns: slice) -> Iterator[Array]:
        """Blocks of rows, shape (≤ 64, columns)."""
        shape = self.shape(name)
        step = block_rows(shape[1])
        with open_shard(self.path) as file:
            for first in range(0, shape[0], step):
                yield file[name][first : first + step, columns].astype(np.float64)

    def _note(self, name: str, found: Any) -> None:
        if isinstance(found, h5py.Dataset):
            self._shapes[name] = found.shape
            for field in found.dtype.names or ():
                self._shapes[f"{name}{FIELD}{field}"] = found.shape


def read_hdf5(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """A grid in one HDF5 file; the wavelengths may stand in a second one.

    Raises:
        DataError: If a file is no HDF5, lacks a dataset, or shapes disagree.
    """
    store = Hdf5Store(only(files))
    wavelengths = Hdf5Store(beside(store.path, one.wavelength_file)) if one.wavelength_file else store
    return read_arrays(one, store, wavelengths)


HDF5 = Format(read=read_hdf5)
