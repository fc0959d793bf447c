"""Rows of many spectra into one HDF5 file as they come, in memory that does not grow with them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import atomic_path
from synth2obs.io.quiet import write_hdf5

SUFFIX = ".h5"
CHUNK_ROWS = 64

Columns = Mapping[str, NDArray[Any]]


def write_blocks(
    path: str | Path, count: int, blocks: Iterable[Columns], shared: Columns, about: Mapping[str, Any]
) -> Path:
    """Write blocks of rows, whole or not at all; any HDF5 library reads them.

    Args:
        path: File to write.
        count: Rows of all blocks together.
        blocks: Arrays by name, the first axis along the rows; all blocks have the same names.
        shared: Arrays that all rows have in common.
        about: Attributes of the file: text, or what JSON has words for.

    Raises:
        OutputError: If it cannot be written.
    """
    with atomic_path(path) as temporary, write_hdf5(temporary) as (file, below):
        for name, values in shared.items():
            file.create_dataset(name, data=values)
        for name, value in about.items():
            file.attrs[name] = value if isinstance(value, str) else json.dumps(value)
        for first, block in _placed(blocks):
            for name, values in block.items():
                _dataset(file, name, values, count)[first : first + len(values)] = values
            if below.error is not None:
                break
    return Path(path)


def _placed(blocks: Iterable[Columns]) -> Iterator[tuple[int, Columns]]:
    """Blocks with the row of their first."""
    first = 0
    for block in blocks:
        yield first, block
        first += len(next(iter(block.values())))


def _dataset(file: h5py.File, name: str, values: NDArray[Any], count: int) -> h5py.Dataset:
    """A dataset of all rows, made when it is first needed."""
    if name in file:
        return file[name]
    text = values.dtype.kind in "UO"
    shape = count, *values.shape[1:]
    return file.create_dataset(
        name,
        shape,
        h5py.string_dtype("utf-8") if text else values.dtype,
        chunks=(min(CHUNK_ROWS if len(shape) > 1 else 16_384, count), *shape[1:]),
        compression="gzip",
        compression_opts=1,
        shuffle=not text,
        fletcher32=not text,
        # Whole chunks need no cache, whose buffers, among those of the spectra's makers, would cut up the memory.
        **({"rdcc_nbytes": 0} if len(shape) > 1 else {}),
    )


def read_block(path: str | Path, rows: slice = slice(None)) -> dict[str, NDArray[Any]]:
    """Arrays by name, with some of the rows of those that have rows (all others whole)."""
    with h5py.File(path, "r") as file:
        found = {name: file[name] for name in _names(file)}
        return {name: _values(data, rows if data.chunks else slice(None)) for name, data in found.items()}


def _names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return names


def _values(data: h5py.Dataset, rows: slice) -> NDArray[Any]:
    if h5py.check_string_dtype(data.dtype) is not None:
        return np.asarray(data.asstr("utf-8")[rows].astype(str))
    return np.asarray(data[rows])
