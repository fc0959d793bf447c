"""Turbospectrum's text output (`bsyn`): wavelength in Å, normalised flux, flux; a file a spectrum.

Wavelengths are in air unless the line list is not; flux is in erg/s/cm²/Å. Files with intensities have more columns,
which are not read.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.io.own_grids.columns_of_text import read_numbers
from synth2obs.io.own_grids.contract import ForeignGrid, Format
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.each_file import no_cards, read_each

Array = NDArray[np.float64]

NORMALISED, FLUX = 1, 2
"""Columns, from 0."""


def read_turbospectrum(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """Spectra of Turbospectrum: the normalised flux, or the flux where ``flux_kind`` is not normalized.

    Raises:
        DataError: If a file has fewer than three columns of numbers, or other wavelengths than the first.
    """
    return read_each(one, files, partial(_spectrum, one.flux_kind), no_cards)


def _spectrum(flux_kind: str, path: Path) -> tuple[Array, Array]:
    table = read_numbers(path, FLUX + 1)
    return table[0], table[NORMALISED if flux_kind == "normalized" else FLUX]


TURBOSPECTRUM = Format(
    read=read_turbospectrum,
    defaults={
        "unit": "Angstrom",
        "flux_kind": "normalized",
        "resolving_power": "raw",
        "engine": "Turbospectrum",
    },
    fixed={"unit": "Angstrom"},
)
