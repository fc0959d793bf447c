"""PHOENIX HiRes: FITS files of Husser et al. (2013, A&A 553, A6).

Flux is the primary image, in erg/s/cm²/cm; the wavelengths of all, in vacuum Å, stand in a file of their own. Sampling
is R = 500 000 from 3000 to 25 000 Å, and nothing has broadened the spectra. [M/H] without the α elements is their
[Fe/H].
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.contract import ForeignGrid, Format
from synth2obs.io.own_grids.description import Description
from synth2obs.io.own_grids.each_file import read_each
from synth2obs.io.own_grids.files import beside
from synth2obs.io.surveys.fits_file import open_fits

Array = NDArray[np.float64]

WAVELENGTHS = "WAVE_PHOENIX-ACES-AGSS-COND-2011.fits"
SHORTEST = 100.0
"""Å; the library begins at 500."""


def read_phoenix(one: Description, files: tuple[Path, ...]) -> ForeignGrid:
    """PHOENIX spectra that share a file of wavelengths; labels are their header cards.

    Raises:
        DataError: If a file is no PHOENIX spectrum, or has another length than the wavelengths.
    """
    spectra = tuple(file for file in files if file.name != Path(one.wavelength_file).name)
    path = beside(files[0], one.wavelength_file)
    wavelength = _image(path)
    return read_each(one, spectra or files, partial(_spectrum, wavelength), partial(_cards, one))


def _spectrum(wavelength: Array, path: Path) -> tuple[Array, Array]:
    flux = _image(path)
    if flux.shape != wavelength.shape:
        raise DataError(
            f"has {len(flux)} samples, the file of wavelengths {len(wavelength)}",
            path=path,
            field="flux",
            remedy="give HiRes spectra and the wavelengths that belong to them",
        )
    return wavelength, flux


def _image(path: Path) -> Array:
    with open_fits(path) as file:
        return file.numbers(0, 1)


def _cards(one: Description, path: Path) -> dict[str, float]:
    with open_fits(path) as file:
        header = file.cards(0)
        return {name: header.number(name) for name in one.columns}


PHOENIX = Format(
    read=read_phoenix,
    defaults={
        "wavelength_file": WAVELENGTHS,
        "unit": "Angstrom",
        "medium": "vacuum",
        "flux_kind": "absolute",
        "resolving_power": "raw",
        "labels": {"teff": "PHXTEFF", "logg": "PHXLOGG", "fe_h": "PHXM_H", "alpha_fe": "PHXALPHA"},
        "engine": "PHOENIX",
        "atmospheres": "PHOENIX, spherical",
        "solar_scale": "Asplund et al. 2009",
        "citation": "Husser et al. 2013, A&A 553, A6",
    },
    fixed={"medium": "vacuum", "unit": "Angstrom"},
    shortest=SHORTEST,
)
