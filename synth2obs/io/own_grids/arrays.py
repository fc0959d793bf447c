"""Grids whose flux is one array (spectra, samples): what npz, HDF5 and FITS files of that kind have in common."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.contract import ForeignGrid
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.label_table import read_table

Array = NDArray[np.float64]


class Store(Protocol):
    """A file of named arrays."""

    path: Path

    def names(self) -> list[str]:
        """Of all arrays."""
        ...

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array that is there."""
        ...

    def array(self, name: str) -> NDArray[Any]:
        """A small array, whole."""
        ...

    def rows(self, name: str, columns: slice) -> Iterator[Array]:
        """Blocks of an array of two dimensions, shape (≤ 64, columns)."""
        ...


def read_arrays(one: Description, store: Store, wavelengths: Store) -> ForeignGrid:
    """The grid in a file of arrays.

    Args:
        one: Its description.
        store: Where flux and labels are.
        wavelengths: Where the wavelengths are; often the same.

    Raises:
        DataError: If an array is missing, or shapes disagree.
    """
    shape = flux_shape(one, store)
    wavelength = numbers(wavelengths, one.wavelength, "wavelength")
    if wavelength.shape != (shape[1],):
        found = f"has shape {wavelength.shape}, flux {one.flux!r} has {shape}"
        raise DataError(found, path=wavelengths.path, field=one.wavelength, remedy=_turn(wavelength, shape))
    files = dict.fromkeys([store.path, wavelengths.path])
    columns = _columns(one, store, shape[0])
    if one.label_table:
        files[store.path.parent / one.label_table] = None
    return ForeignGrid(
        path=store.path,
        wavelength=wavelength,
        columns=columns,
        files=tuple(files),
        flux=lambda samples: _flux(one, store, samples),
    )


def flux_shape(one: Description, store: Store) -> tuple[int, int]:
    """Numbers of spectra and samples.

    Raises:
        DataError: If the flux is missing or no table.
    """
    require(store, one.flux, "flux")
    shape = store.shape(one.flux)
    if len(shape) != 2 or 0 in shape:
        raise DataError(
            f"has shape {shape}", path=store.path, field=one.flux, remedy="it must be (spectra, samples)"
        )
    if one.continuum:
        require(store, one.continuum, "continuum")
        if store.shape(one.continuum) != shape:
            found = f"has shape {store.shape(one.continuum)}, flux {shape}"
            raise DataError(found, path=store.path, field=one.continuum, remedy="give one for every flux")
    return shape[0], shape[1]


def require(store: Store, name: str, key: str) -> None:
    """Refuse a name that the description leaves out, or that no array has.

    Raises:
        DataError: With the names that there are.
    """
    there = f"there are {', '.join(store.names()[:20]) or 'none'}"
    if not name:
        raise DataError("is not said by the description", path=store.path, field=key, remedy=there)
    if name not in store.names():
        raise DataError(f"no array {name!r}", path=store.path, field=key, remedy=there)


def numbers(store: Store, name: str, key: str) -> Array:
    """A small array of numbers, whole.

    Raises:
        DataError: If it is missing or holds something else.
    """
    require(store, name, key)
    values = np.asarray(store.array(name))
    if values.dtype.kind not in "fiu":
        raise DataError(
            f"holds {values.dtype}, no numbers", path=store.path, field=name, remedy="check the name"
        )
    return values.astype(np.float64)


def _turn(wavelength: Array, shape: tuple[int, int]) -> str:
    if wavelength.shape == (shape[0],):
        return "the flux looks transposed: store it as (spectra, samples)"
    return "give one wavelength a sample, the same for all spectra"


def _flux(one: Description, store: Store, samples: slice) -> Iterator[Array]:
    if not one.continuum:
        yield from store.rows(one.flux, samples)
        return
    pairs = zip(store.rows(one.flux, samples), store.rows(one.continuum, samples), strict=True)
    for flux, continuum in pairs:
        yield divided(flux, continuum, store.path)


def divided(flux: Array, continuum: Array, path: Path) -> Array:
    """Flux over continuum.

    Raises:
        DataError: If the continuum is not positive somewhere.
    """
    if not (continuum > 0).all():
        raise DataError("is not positive", path=path, field="continuum", remedy="check the name")
    return flux / continuum


def _columns(one: Description, store: Store, spectra: int) -> dict[str, Array]:
    """The owner's columns that the description names."""
    path = store.path.parent / one.label_table if one.label_table else store.path
    columns = _named_columns(one, store, spectra)
    for name, values in columns.items():
        if values.shape != (spectra,):
            raise DataError(
                f"has shape {values.shape} for {spectra} spectra",
                path=path,
                field=name,
                remedy="give one label a spectrum, in the same order",
            )
    return columns


def _named_columns(one: Description, store: Store, spectra: int) -> dict[str, Array]:
    if one.label_table:
        return read_table(store.path.parent / one.label_table, one.columns)
    if one.label_array:
        return _table(one, store, spectra)
    return {name: numbers(store, name, "labels") for name in one.columns}


def _table(one: Description, store: Store, spectra: int) -> dict[str, Array]:
    """Columns of the array of labels."""
    table, names = numbers(store, one.label_array, "label_array"), _names(one, store)
    table = table.T if one.transposed else table
    if table.shape != (spectra, len(names)):
        raise DataError(
            f"has shape {table.shape}, but there are {spectra} spectra and {len(names)} columns",
            path=store.path,
            field=one.label_array,
            remedy=_turn_labels(one, table.shape == (len(names), spectra)),
        )
    for name in one.columns:
        if name not in names:
            there = f"there are {', '.join(names)}"
            raise DataError(f"no column {name!r}", path=store.path, field="labels", remedy=there)
    return {name: table[:, names.index(name)] for name in one.columns}


def _turn_labels(one: Description, turned: bool) -> str:
    if turned:
        return f"set transposed = {str(not one.transposed).lower()}"
    return "name every column, in order, in label_columns"


def _names(one: Description, store: Store) -> Sequence[str]:
    """Names of the columns of the array of labels: a list, or the array that holds them."""
    if not isinstance(one.label_columns, str):
        return one.label_columns
    require(store, one.label_columns, "label_columns")
    return [
        word.decode() if isinstance(word, bytes) else str(word) for word in store.array(one.label_columns)
    ]
