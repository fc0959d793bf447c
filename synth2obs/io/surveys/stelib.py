"""STELIB: 249 stars, 3200-9900 Å, 1 Å pixels, 3 Å FWHM (Le Borgne et al. 2003, A&A 402, 433)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.unpacked import bare_name
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.noise import describe, estimate_ivar
from synth2obs.io.surveys.images import blank_bad, linear_image
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import NoOptions, SurveyReader, Unit

FWHM_ANGSTROM = 3.0
"""Nominal FWHM of the library, constant in Å (Le Borgne et al. 2003, section 2)."""

CARDS = {"teff": "TEFF", "logg": "LOG_G", "fe_h": "FE_H"}

WITHIN = (3100.0, 10_000.0)
"""Air Å that contain every STELIB spectrum."""

STEPS = (0.99, 1.01)
"""Å between pixels: 1, shifted to the star's rest frame."""

RV_ERROR_KMS = 10.0
"""Scatter of the rest frame: against theory, 113 stars lie at +1.1 ± 9.5 km/s (median, scaled MAD)."""

SCALE = (
    "its scale is distorted: against theory, the median velocity is -25 km/s at 3900-4500 Å, "
    "+14 at 4500-5500 Å, 0 at 5500-6500 Å and -13 at 6500-7200 Å"
)


def read_stelib(unit: Unit, options: NoOptions) -> Iterator[Record]:
    """The spectrum of one star (v3.2), from a file named ``STELIB_v3.2_<star>.fits``; every star has its own pixels.

    Wavelengths are in air and become vacuum. The axis of each file is already shifted to the star's rest
    frame: over 161 stars with RADVEL from -160 to 360 km/s, Hα follows RADVEL with a slope of 0.04, and lies
    at its wavelength in air. Flux is divided by its median because the files' scale, about
    1e-12 erg/s/cm²/Å, spans orders of magnitude. Errors are estimated from the spectrum (``io.noise``);
    zero padding and missing arms have inverse variance 0.

    Raises:
        DataError: If the file cannot be read, or its spectrum has no positive flux.
    """
    (path,) = unit
    with linear_image(path, WITHIN, STEPS) as image:
        flux, bad = blank_bad(image.flux)
        flux = flux / _scale(flux, path)
        ivar, _ = estimate_ivar(np.where(bad, np.nan, flux)[None])
        pixels = len(flux)
        yield Record(
            id=_star(path),
            wavelength=air_to_vacuum(image.wavelength),
            segment=np.zeros(pixels, dtype=np.int16),
            flux=flux,
            ivar=ivar[0],
            line_spread=LineSpread.single(np.full(pixels, FWHM_ANGSTROM / FWHM_PER_SIGMA)),
            rv=0.0,
            rv_error=RV_ERROR_KMS,
            labels={name: image.cards.optional(card) for name, card in CARDS.items()},
            native={"object": _star(path), "rv": image.cards.optional("RADVEL")},
            frame="rest",
            flux_kind="relative",
            air_formula=AIR_FORMULA,
        )


def _scale(flux: NDArray[np.float64], path: Path) -> float:
    positive = flux[flux > 0]
    if not len(positive):
        raise DataError("has no positive flux", path=path, remedy="leave the file out")
    return float(np.median(positive))


def _star(path: Path) -> str:
    name = bare_name(path.name)
    return name.rsplit("_", 1)[-1] if name.startswith("STELIB_") else name


STELIB = SurveyReader(
    name="stelib",
    read=read_stelib,
    labels=tuple(CARDS),
    about={
        "title": "STELIB stellar library, v3.2",
        "citation": ["Le Borgne et al. 2003, A&A 402, 433"],
        "errors": describe(),
        "lsf": f"nominal FWHM {FWHM_ANGSTROM:g} Å, Gaussian, constant in Å",
        "velocity": f"axis already in the rest frame; rv = 0 is nominal; {SCALE}",
        "flux_scale": "each star divided by the median of its positive flux",
    },
)
