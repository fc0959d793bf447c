"""A row per star in HDF5: datasets, and fields of datasets of records."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.io.shard.layout import open_shard
from synth2obs.io.surveys.star_tables.contract import SlicedTable, unit_in_yaml


class Hdf5Table(SlicedTable):
    """Datasets by their paths, fields as ``dataset.field``; inside the main group or dataset also by their own names.

    Args:
        path: The file.
        file: Open.
        main: Group or dataset of records; if there is one dataset of records, it need not be said.
    """

    def __init__(self, path: Path, file: h5py.File, main: int | str) -> None:
        self.path, self._arrays = path, dict(_arrays(file))
        records = {name.rpartition(".")[0] for name in self._arrays if "." in name}
        inside = main if isinstance(main, str) else next(iter(records)) if len(records) == 1 else ""
        short = {name.removeprefix(inside)[1:]: data for name, data in self._arrays.items() if inside}
        own = {name: data for name, data in short.items() if f"{inside}/{name}" in self._arrays}
        own |= {name: data for name, data in short.items() if f"{inside}.{name}" in self._arrays}
        self._arrays = own | self._arrays
        self.shapes = {name: _shape(*place) for name, place in self._arrays.items()}

    def rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Some rows of an array."""
        dataset, field = self._arrays[name]
        if h5py.check_string_dtype(dataset.dtype) is not None:
            return np.asarray(dataset.asstr("utf-8")[rows])
        values = np.asarray(dataset.fields(field)[rows] if field else dataset[rows])
        return _masked(values, dataset) if not field else values

    def unit(self, name: str) -> str:
        """Attribute ``unit`` or ``units`` of a dataset, or what astropy has written beside a dataset of records."""
        dataset, field = self._arrays[name]
        if field:
            beside = dataset.parent.get(f"{dataset.name.rpartition('/')[2]}.__table_column_meta__")
            lines = [] if beside is None else [_text(line) for line in beside[()]]
            return unit_in_yaml("\n".join(lines), field)
        return next((_text(dataset.attrs[key]) for key in ("unit", "units") if key in dataset.attrs), "")


BLANKS = ("_FillValue", "missing_value")
"""Attributes with the number that stands for none, by the conventions of netCDF."""


def _masked(values: NDArray[Any], dataset: h5py.Dataset) -> NDArray[Any]:
    """Numbers; masked where they are those that stand for none."""
    marks = [np.ravel(dataset.attrs[key]) for key in BLANKS if key in dataset.attrs]
    if values.dtype.kind not in "fiu" or not marks:
        return values
    return np.ma.masked_array(values, np.isin(values, np.concatenate(marks).astype(values.dtype)))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _arrays(file: h5py.File) -> Iterator[tuple[str, tuple[h5py.Dataset, str]]]:
    found: list[h5py.Dataset] = []
    file.visititems(lambda name, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    for dataset in found:
        name = dataset.name.strip("/")
        if dataset.dtype.names is None and dataset.shape:
            yield name, (dataset, "")
        for field in dataset.dtype.names or ():
            yield f"{name}.{field}", (dataset, field)


def _shape(dataset: h5py.Dataset, field: str) -> tuple[int, ...]:
    kind = dataset.dtype[field] if field else dataset.dtype
    ragged = (-1,) if isinstance(h5py.check_vlen_dtype(kind), np.dtype) else ()
    return (*dataset.shape, *(kind.shape if field else ()), *ragged)


@contextmanager
def open_hdf5_table(path: Path, hdu: int | str) -> Iterator[Hdf5Table]:
    """An HDF5 file as a table of stars.

    Raises:
        DataError: If it cannot be read.
    """
    with open_shard(path) as file:
        yield Hdf5Table(path, file, hdu)
