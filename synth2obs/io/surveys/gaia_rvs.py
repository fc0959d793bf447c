"""Gaia RVS mean spectra of DR3 (Seabroke et al. 2024): the archive's bulk files or single products."""

import re
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text, read_unpacked, suffix_of
from synth2obs.io.surveys.fits_file import open_fits, refuse_unreadable
from synth2obs.io.surveys.record import Record, constant_resolution, weigh
from synth2obs.io.surveys.survey import NoOptions, SurveyReader, Unit

Array = NDArray[np.floating[Any]]

PIXELS = 2401
START, STEP = 8460.0, 0.1
"""Å: 846 to 870 nm in steps of 0.01 nm."""

RESOLVING_POWER = 11_500.0
"""Nominal λ / FWHM (Cropper et al. 2018, A&A 616, A5)."""

FORMATS = {".ecsv": "ascii.ecsv", ".csv": "ascii.ecsv", ".xml": "votable", ".vot": "votable"}


def read_rvs(unit: Unit, options: NoOptions) -> Iterator[Record]:
    """Every spectrum of a file: rows of arrays with ``source_id``, or one spectrum of rows of pixels.

    Vacuum wavelengths, rest frame, continuum-normalised (not below 3500 K, where it is scaled only).

    Raises:
        DataError: If the file is no such table, or a spectrum has another number of pixels.
    """
    (path,) = unit
    columns, cards = _fits_table(path) if _ending(path) == ".fits" else _text_table(path)
    missing = {"flux", "flux_error"} - set(columns)
    if missing:
        raise DataError(
            f"lacks {', '.join(sorted(missing))}", path=path, field="columns", remedy="give RVS mean spectra"
        )
    if "source_id" in columns and len(columns["flux"]) and np.ndim(columns["flux"][0]):
        names = (str(name) for name in columns["source_id"])
        for name, flux, error in zip(names, columns["flux"], columns["flux_error"], strict=True):
            yield _record(name, flux, error, path)
    else:
        if "wavelength" in columns:
            _check_axis(np.asarray(columns["wavelength"], dtype=np.float64), path)
        yield _record(_source(cards, path), columns["flux"], columns["flux_error"], path)


Table = tuple[dict[str, Any], dict[str, Any]]
"""Columns and cards by name, in lower case."""


def _ending(path: Path) -> str:
    return suffix_of(path)


def _fits_table(path: Path) -> Table:
    with open_fits(path) as file:
        table, cards = file.table(1), file.cards(1)
        columns = {name.lower(): np.array(table[name]) for name in table.dtype.names}
        return columns, {str(card).lower(): cards.get(card) for card in cards.header if card}


def _text_table(path: Path) -> Table:
    from astropy.table import Table as AstropyTable

    refuse_unreadable(path)
    kind = FORMATS.get(_ending(path))
    if kind is None:
        raise DataError(
            f"has ending {_ending(path)!r}",
            path=path,
            remedy=f"give files that end with .fits, {', '.join(FORMATS)}",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            source = BytesIO(read_unpacked(path)) if kind == "votable" else read_text(path).splitlines()
            table = AstropyTable.read(source, format=kind)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read as {kind} ({type(error).__name__}: {error})",
            path=path,
            remedy="check that it is an RVS mean spectrum",
        ) from error
    columns = {name.lower(): table[name] for name in table.colnames}
    return columns, {str(key).lower(): value for key, value in table.meta.items()}


def _source(cards: dict[str, Any], path: Path) -> str:
    """The star's name, from the table or from the digits of the file's name."""
    digits = re.search(r"(\d{9,19})", path.name)
    name = str(cards.get("source_id") or (digits.group(1) if digits else ""))
    if not name:
        raise DataError(
            "names no source", path=path, field="source_id", remedy="keep the archive's file name"
        )
    return name


def _check_axis(wavelength: Array, path: Path) -> None:
    """Refuse wavelengths (nm) that are not those of DR3."""
    expected = 0.1 * (START + STEP * np.arange(PIXELS))
    if wavelength.shape != expected.shape or not np.abs(wavelength - expected).max() < 1e-4:
        raise DataError(
            "must run from 846 to 870 nm in steps of 0.01 nm",
            path=path,
            field="wavelength",
            remedy="give RVS mean spectra",
        )


def _numbers(values: Any) -> Array:
    """An array with NaN where it is blank."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan), dtype=np.float64)


def _record(name: str, flux: Any, error: Any, path: Path) -> Record:
    flux, error = _numbers(flux), _numbers(error)
    if flux.shape != (PIXELS,) or error.shape != (PIXELS,):
        raise DataError(
            f"source {name} has flux of shape {flux.shape}, not ({PIXELS},)",
            path=path,
            field="flux",
            remedy="check that it is an RVS mean spectrum",
        )
    wavelength = START + STEP * np.arange(PIXELS)
    values, ivar = weigh(flux, error)
    return Record(
        id=name,
        wavelength=wavelength,
        segment=np.zeros(PIXELS, np.int16),
        flux=values,
        ivar=ivar,
        line_spread=constant_resolution(wavelength, RESOLVING_POWER),
        rv=0.0,
        native={"object": name},
        frame="rest",
        flux_kind="normalized",
        air_formula="",
    )


GAIA_RVS = SurveyReader(
    name="gaia_rvs",
    read=read_rvs,
    same_pixels=True,
    experimental=True,
    about={
        "title": "Gaia RVS mean spectra",
        "citation": ["Gaia Collaboration, Recio-Blanco et al. 2023, A&A 674, A29"],
        "wavelength": "vacuum, rest frame, 846 to 870 nm, as the archive documents",
        "lsf": f"Gaussian of constant R = {RESOLVING_POWER:g}: nominal",
    },
)
