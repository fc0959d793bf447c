"""MILES: 985 stars, 3540-7410 Å, 0.9 Å pixels, 2.5 Å FWHM (Sánchez-Blázquez+ 2006, MNRAS 371, 703)."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.unpacked import read_text
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.noise import describe, estimate_ivar
from synth2obs.io.surveys.cards import REPAIR, Cards
from synth2obs.io.surveys.images import blank_bad, linear_image
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import NoOptions, Parameters, SurveyReader, Unit

LABELS = ("teff", "logg", "fe_h")
LIMITS = {"teff": (500.0, 90_000.0), "logg": (-2.0, 10.0), "fe_h": (-6.0, 2.0)}
"""Values outside are the parameter file's marks for "unknown" (9999, 99999)."""

UNIDENTIFIED = re.compile(r"\s*\d{3}\.\s")
"""The published file has one star without its last digit (``022.``): no spectrum can claim it."""

WITHIN = (3400.0, 7700.0)
"""Air Å that contain every MILES spectrum."""

STEPS, WIDTHS = (0.899, 0.901), (1.0, 10.0)
"""Å between pixels, and FWHM in Å, that a spectrum of the library can have, convolved to others' resolution or not."""

RV_ERROR_KMS = 5.0
"""Scatter of the rest frame: against theory, 281 stars lie at +1.2 ± 3.6 km/s (median, scaled MAD)."""

Rows = dict[int, dict[str, float]]


def read_miles(unit: Unit, options: NoOptions) -> Iterator[Record]:
    """The spectrum of one star, from a file named ``…mNNNNV.fits``; its id is ``MILES_NNNN``.

    Wavelengths are linear in air and become vacuum; spectra are in the rest frame; errors are estimated from
    the spectrum (``io.noise``) because the library gives none.

    Raises:
        DataError: If the file cannot be read or its name has no MILES number.
    """
    (path,) = unit
    with linear_image(path, WITHIN, STEPS) as image:
        name = f"MILES_{_number(path):04d}"
        flux, bad = blank_bad(image.flux)
        ivar, _ = estimate_ivar(np.where(bad, np.nan, flux)[None])
        yield Record(
            id=name,
            wavelength=air_to_vacuum(image.wavelength),
            segment=np.zeros(len(flux), dtype=np.int16),
            flux=flux,
            ivar=ivar[0],
            line_spread=LineSpread.single(np.full(len(flux), _fwhm(image.cards) / FWHM_PER_SIGMA)),
            rv=0.0,
            rv_error=RV_ERROR_KMS,
            native={"object": name},
            frame="rest",
            flux_kind="relative",
            air_formula=AIR_FORMULA,
        )


def read_parameters(path: str | Path) -> Rows:
    """Labels by MILES number; what the file marks as unknown is NaN.

    Raises:
        DataError: If the file cannot be read or a row is not number, Teff, log g, [Fe/H].
    """
    path = Path(path)
    lines = read_text(path).splitlines()
    rows = (line for line in lines if line.strip() and not line.startswith("#"))
    return dict(_row(line, path) for line in rows if not UNIDENTIFIED.match(line))


def _row(line: str, path: Path) -> tuple[int, dict[str, float]]:
    try:
        number, *values = line.split()
        labels = {name: float(value) for name, value in zip(LABELS, values, strict=True)}
        return int(number), {name: _known(name, value) for name, value in labels.items()}
    except ValueError as error:
        raise DataError(
            f"row must be number, Teff, log g, [Fe/H]; got {line.strip()!r}",
            path=path,
            remedy="give the library's MILES_params.db",
        ) from error


def _known(name: str, value: float) -> float:
    low, high = LIMITS[name]
    return value if low < value < high else float("nan")


def read_table(path: Path) -> Parameters:
    """``MILES_params.db`` (Cenarro et al. 2007) by id.

    Raises:
        DataError: As `read_parameters`.
    """
    rows = read_parameters(path)
    return Parameters(
        np.array([f"MILES_{number:04d}" for number in rows], dtype=str),
        {name: np.array([row[name] for row in rows.values()], dtype=float) for name in LABELS},
    )


def _number(path: Path) -> int:
    match = re.search(r"m(\d{4})V?(?:\.|_|$)", path.name)
    if match is None:
        raise DataError(
            "the file name holds no MILES number", path=path, remedy="name it like m0018V.fits, as published"
        )
    return int(match.group(1))


def _fwhm(cards: Cards) -> float:
    """FWHM in Å."""
    value = cards.number("FWHM")
    low, high = WIDTHS
    if not low <= value <= high:
        raise DataError(
            f"must be within {low:g} to {high:g} Å, got {value}", path=cards.path, field="FWHM", remedy=REPAIR
        )
    return value


MILES = SurveyReader(
    name="miles",
    read=read_miles,
    parameters=read_table,
    labels=LABELS,
    same_pixels=True,
    about={
        "title": "MILES stellar library",
        "citation": [
            "Sánchez-Blázquez et al. 2006, MNRAS 371, 703",
            "Falcón-Barroso et al. 2011, A&A 532, A95",
            "Cenarro et al. 2007, MNRAS 374, 664",
        ],
        "errors": describe(),
        "lsf": "Gaussian of the FWHM card, constant in Å",
        "velocity": "rest frame as published; rv = 0 is nominal",
    },
)
