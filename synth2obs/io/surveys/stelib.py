"""STELIB: 249 stars, 3200-9900 Å, 1 Å pixels, 3 Å FWHM (Le Borgne et al. 2003, A&A 402, 433)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.noise import estimate_ivar
from synth2obs.io.surveys.images import LinearImage, Progress, optional_number, read_all, sources
from synth2obs.io.surveys.tables import blank_bad, median_snr

FWHM_ANGSTROM = 3.0
"""Nominal FWHM of the library, constant in Å (Le Borgne et al. 2003, section 2)."""

CARDS = {"teff": "TEFF", "logg": "LOG_G", "fe_h": "FE_H"}

RV_ERROR_KMS = 10.0
"""Scatter of the rest frame: against theory, 113 stars lie at +1.1 ± 9.5 km/s (median, scaled MAD)."""

SCALE = (
    "its scale is distorted: against theory, the median velocity is -25 km/s at 3900-4500 Å, "
    "+14 at 4500-5500 Å, 0 at 5500-6500 Å and -13 at 6500-7200 Å"
)


def read_stelib(paths: Sequence[str | Path], progress: Progress | None = None) -> Spectra:
    """Native STELIB spectra (v3.2), one FITS file a star; every star has its own pixels.

    Wavelengths are in air and become vacuum. The axis of each file is already shifted to the star's rest
    frame: over 161 stars with RADVEL from -160 to 360 km/s, Hα follows RADVEL with a slope of 0.04, and lies
    at its wavelength in air. Flux is divided by its median because the files' scale, about
    1e-12 erg/s/cm²/Å, spans orders of magnitude. Errors are estimated from the spectra (``io.noise``);
    zero padding and missing arms have inverse variance 0.

    Args:
        paths: Files named ``STELIB_v3.2_<star>.fits``.
        progress: Called with files read and files in all.

    Returns:
        Spectra with wavelengths of shape (N, P), ids as in the file names, e.g. ``HD002857``.

    Raises:
        DataError: If a file cannot be read, or its spectrum has no positive flux.
    """
    images = read_all(paths, progress)
    flux, bad = blank_bad(np.stack([image.flux for image in images]))
    flux = flux / _scale(flux, images)[:, None]
    ivar, errors = estimate_ivar(np.where(bad, np.nan, flux))
    stars, pixels = flux.shape
    return Spectra(
        domain="stelib",
        kind="survey",
        wavelength=air_to_vacuum(np.stack([image.wavelength for image in images])),
        segment=np.zeros(pixels, dtype=np.int16),
        flux=flux,
        ivar=ivar,
        id=np.array([_star(image.path) for image in images]),
        lsf_sigma=np.full((1, pixels), FWHM_ANGSTROM / FWHM_PER_SIGMA),
        lsf_group=np.zeros(stars, dtype=np.int64),
        rv=np.zeros(stars),
        rv_error=np.full(stars, RV_ERROR_KMS),
        snr=median_snr(flux, ivar),
        labels={name: _column(images, card) for name, card in CARDS.items()},
        frame="rest",
        flux_kind="relative",
        air_formula=AIR_FORMULA,
        provenance={
            "title": "STELIB stellar library, v3.2",
            "citation": ["Le Borgne et al. 2003, A&A 402, 433"],
            "sources": sources(paths),
            "errors": errors,
            "lsf": f"nominal FWHM {FWHM_ANGSTROM:g} Å, Gaussian, constant in Å",
            "velocity": f"axis already in the rest frame; rv = 0 is nominal; {SCALE}",
            "flux_scale": "each star divided by the median of its positive flux",
        },
    )


def _column(images: Sequence[LinearImage], card: str) -> NDArray[np.float64]:
    return np.array([optional_number(image.header.get(card)) for image in images])


def _scale(flux: NDArray[np.float64], images: Sequence[LinearImage]) -> NDArray[np.float64]:
    for image, row in zip(images, flux, strict=True):
        if not (row > 0).any():
            raise DataError("has no positive flux", path=image.path, remedy="leave the file out")
    return np.array([np.median(row[row > 0]) for row in flux])


def _star(path: Path) -> str:
    return path.stem.rsplit("_", 1)[-1] if path.stem.startswith("STELIB_") else path.stem
