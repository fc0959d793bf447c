"""Grids with a text table or a FITS file for every spectrum, columns by name."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.arrays import divided
from synth2obs.io.own_grids.contract import ForeignGrid, Format
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.each_file import read_each
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.own_columns import read_columns

Array = NDArray[np.float64]


def read_spectra(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """A file for every spectrum; labels from a table, the files' names, or header cards.

    Raises:
        DataError: If a file cannot be read, lacks a column, or has other wavelengths than the first.
    """
    for key in ("wavelength", "flux"):
        if not getattr(one, key):
            raise DataError("is not said", path=files[0].parent, field=key, remedy="name the column")
    return read_each(one, files, partial(_spectrum, one), partial(_cards, one))


def _spectrum(one: Description, path: Path) -> tuple[Array, Array]:
    names = [name for name in (one.wavelength, one.flux, one.continuum) if name]
    columns = read_columns(path, one.hdu, names)
    wavelength, flux = (columns[name].astype(np.float64) for name in (one.wavelength, one.flux))
    if one.continuum:
        flux = divided(flux, columns[one.continuum].astype(np.float64), path)
    return wavelength, flux


def _cards(one: Description, path: Path) -> dict[str, float]:
    found = Cards(read_columns(path, one.hdu, [one.wavelength, one.flux]).cards, path)
    return {name: found.number(name) for name in one.columns}


SPECTRA = Format(read=read_spectra)
