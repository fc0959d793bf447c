"""Korg's spectra as text: wavelength in Å, flux, and continuum if there is a third column; a file a spectrum.

`synth` of Korg gives wavelengths, rectified flux and continuum; `synthesize` gives flux that is not rectified, with a
continuum ``cntm``. Korg's own wavelengths are in vacuum, in air with ``air_wavelengths=true``: a file does not say it.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.io.own_grids.arrays import divided
from synth2obs.io.own_grids.columns_of_text import read_numbers
from synth2obs.io.own_grids.contract import ForeignGrid, Format
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.each_file import no_cards, read_each

Array = NDArray[np.float64]

CONTINUUM = "cntm"
"""What a description calls the third column to have the flux divided by it."""


def read_korg(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """Spectra of Korg; ``continuum = "cntm"`` divides the flux by the third column.

    Raises:
        DataError: If a file lacks a column, holds anything but numbers, or has other wavelengths than the first.
    """
    return read_each(one, files, partial(_spectrum, bool(one.continuum)), no_cards)


def _spectrum(divide: bool, path: Path) -> tuple[Array, Array]:
    table = read_numbers(path, 2 + divide)
    return table[0], divided(table[1], table[2], path) if divide else table[1]


KORG = Format(
    read=read_korg,
    defaults={"unit": "Angstrom", "resolving_power": "raw", "engine": "Korg"},
    fixed={"unit": "Angstrom"},
)
