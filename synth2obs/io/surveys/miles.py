"""MILES: 985 stars, 3540-7410 Å, 0.9 Å pixels, 2.5 Å FWHM (Sánchez-Blázquez+ 2006, MNRAS 371, 703)."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.noise import estimate_ivar
from synth2obs.io.surveys.images import LinearImage, Progress, number_card, read_all, sources
from synth2obs.io.surveys.tables import blank_bad, median_snr

LABELS = ("teff", "logg", "fe_h")
LIMITS = {"teff": (500.0, 90_000.0), "logg": (-2.0, 10.0), "fe_h": (-6.0, 2.0)}
"""Values outside are the parameter file's marks for "unknown" (9999, 99999)."""

UNIDENTIFIED = re.compile(r"\s*\d{3}\.\s")
"""The published file has one star without its last digit (``022.``): no spectrum can claim it."""

RV_ERROR_KMS = 5.0
"""Scatter of the rest frame: against theory, 281 stars lie at +1.2 ± 3.6 km/s (median, scaled MAD)."""

Parameters = dict[int, dict[str, float]]


def read_miles(
    paths: Sequence[str | Path], parameters: str | Path | None = None, progress: Progress | None = None
) -> Spectra:
    """Native MILES spectra, one FITS file a star.

    Wavelengths are linear in air and become vacuum; spectra are in the rest frame; errors are estimated from
    the spectra (``io.noise``) because the library gives none.

    Args:
        paths: Files named ``…mNNNNV.fits``.
        parameters: ``MILES_params.db`` (Cenarro et al. 2007); without it, labels are unknown.
        progress: Called with files read and files in all.

    Returns:
        Spectra on one shared grid, ids ``MILES_NNNN``.

    Raises:
        DataError: If a file cannot be read, has no MILES number, or differs in pixels from the first.
    """
    images = read_all(paths, progress)
    _same_pixels(images)
    numbers = [_number(image.path) for image in images]
    flux, bad = blank_bad(np.stack([image.flux for image in images]))
    ivar, errors = estimate_ivar(np.where(bad, np.nan, flux))
    known = read_parameters(parameters) if parameters is not None else {}
    stars = len(images)
    return Spectra(
        domain="miles",
        kind="survey",
        wavelength=air_to_vacuum(images[0].wavelength),
        segment=np.zeros(flux.shape[1], dtype=np.int16),
        flux=flux,
        ivar=ivar,
        id=np.array([f"MILES_{number:04d}" for number in numbers]),
        lsf_sigma=np.full((1, flux.shape[1]), _fwhm(images) / FWHM_PER_SIGMA),
        lsf_group=np.zeros(stars, dtype=np.int64),
        rv=np.zeros(stars),
        rv_error=np.full(stars, RV_ERROR_KMS),
        snr=median_snr(flux, ivar),
        labels={name: np.array([known.get(n, {}).get(name, np.nan) for n in numbers]) for name in LABELS},
        frame="rest",
        flux_kind="relative",
        air_formula=AIR_FORMULA,
        provenance={
            "title": "MILES stellar library",
            "citation": [
                "Sánchez-Blázquez et al. 2006, MNRAS 371, 703",
                "Falcón-Barroso et al. 2011, A&A 532, A95",
                "Cenarro et al. 2007, MNRAS 374, 664",
            ],
            "sources": sources([*paths, parameters] if parameters is not None else paths),
            "errors": errors,
            "lsf": "Gaussian of the FWHM card, constant in Å",
            "velocity": "rest frame as published; rv = 0 is nominal",
        },
    )


def read_parameters(path: str | Path) -> Parameters:
    """Labels by MILES number; what the file marks as unknown is NaN.

    Raises:
        DataError: If the file cannot be read or a row is not number, Teff, log g, [Fe/H].
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", path=path, remedy="give MILES_params.db") from error
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


def _number(path: Path) -> int:
    match = re.search(r"m(\d{4})V?(?:\.|_|$)", path.name)
    if match is None:
        raise DataError(
            "the file name holds no MILES number", path=path, remedy="name it like m0018V.fits, as published"
        )
    return int(match.group(1))


def _fwhm(images: Sequence[LinearImage]) -> float:
    """FWHM in Å, which must be the same in every file because all stars share one line spread."""
    values: NDArray[np.float64] = np.array([number_card(i.header, "FWHM", i.path) for i in images])
    (wrong,) = np.nonzero((values <= 0) | (values != values[0]))
    if len(wrong):
        raise DataError(
            f"FWHM must be > 0 Å and the same in all files, got {values[wrong[0]]} and {values[0]}",
            path=images[wrong[0]].path,
            field="FWHM",
            remedy="ingest files of one release at a time",
        )
    return float(values[0])


def _same_pixels(images: Sequence[LinearImage]) -> None:
    for image in images[1:]:
        if not np.array_equal(image.wavelength, images[0].wavelength):
            raise DataError(
                f"wavelengths differ from those of {images[0].path.name}",
                path=image.path,
                field="CRVAL1",
                remedy="ingest files of one release at a time",
            )
