"""Gaia-ESO: one-dimensional spectra as ESO's Phase 3 standard has them (ESO-044286; Gilmore et al. 2022)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import bare_name
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_file import FitsFile, as_bits, floating, open_fits
from synth2obs.io.surveys.own_columns import angstroms
from synth2obs.io.surveys.record import Record, constant_resolution, padded, weigh
from synth2obs.io.surveys.survey import SurveyReader, Unit, check_resolution, choose

Array = NDArray[np.floating[Any]]

FRAMES = {"BARYCENT": "barycentric", "HELIOCEN": "barycentric", "SOURCE": "rest"}
"""Values of SPECSYS that a shard has a frame for."""

MEDIA = ("vacuum", "air")

IN_AIR = "obs.atmos"
"""Word in the UCD of a wavelength that is one in air; without, it is vacuum (ESO-044286)."""

WAVELENGTH = "em.wl", ("WAVE", "WAVELENGTH", "LAMBDA")
FLUX = "phot.flux.density", ("FLUX", "FLUX_REDUCED")
ERROR = "stat.error", ("ERR", "ERR_REDUCED")
"""UCD of each column, and its names in tables without UCDs."""

RESOLUTIONS = (100.0, 1e6)
"""Resolving powers of spectrographs: a card beyond is damaged, or in another unit."""

CGS = 1e-16
"""Unit in erg/s/cm²/Å of a shard's flux where the file's is absolute: its inverse variance must fit float32."""

GAP = 5.0
"""Steps of more than this many usual ones separate detectors."""


@dataclass(frozen=True, kw_only=True)
class EsoOptions:
    """What files may leave open.

    Args:
        medium: ``vacuum`` or ``air``, for files whose wavelength has no UCD.
        resolving_power: λ / FWHM, constant; the card SPEC_RES if None.
        pixels: Number of pixels to which shorter spectra are filled up with bad ones; 0 if all are equally long.
    """

    medium: str | None = None
    resolving_power: float | None = None
    pixels: float = 0

    def __post_init__(self) -> None:
        if self.medium is not None:
            choose("medium", self.medium, MEDIA)
        check_resolution(self.resolving_power)


@dataclass(frozen=True)
class Column:
    """A column of the spectrum's table with its UCD and unit, and the number of its HDU."""

    name: str
    ucd: str
    unit: str
    hdu: int


def read_gaia_eso(unit: Unit, options: EsoOptions) -> Iterator[Record]:
    """The spectrum of one file: a table of one row, whose columns are told by UCD, or by name without.

    The table is SPECTRUM, or the first that has wavelength, flux and error, whatever it is called.

    Air or vacuum is the UCD of the wavelength, the frame SPECSYS, the kind of flux CONTNORM and FLUXCAL; nothing
    is guessed.

    Raises:
        DataError: If the file is no such spectrum, or leaves medium, frame or resolution open.
    """
    with open_fits(unit[0]) as file:
        record = _record(file, _table(file), options)
        yield padded(record, int(options.pixels), file.path)


def _table(file: FitsFile) -> int:
    """Number of the HDU with the spectrum.

    Raises:
        DataError: If no table has wavelength, flux and error.
    """
    tables = [number for number, hdu in enumerate(file.hdus) if hdu.header.get("TFIELDS") is not None]
    tables.sort(key=lambda number: file.names[number] != "SPECTRUM")
    for number in tables:
        columns = _columns(file, number)
        if all(_found(columns, *kind) for kind in (WAVELENGTH, FLUX, ERROR)):
            return number
    raise DataError(
        f"has no table SPECTRUM, nor another with wavelength, flux and error, but {', '.join(file.names)}",
        path=file.path,
        remedy="give one-dimensional spectra of ESO's Phase 3",
    )


def _record(file: FitsFile, hdu: int, options: EsoOptions) -> Record:
    columns, cards = _columns(file, hdu), file.cards()
    wavelength, medium = _wavelength(columns, file, options)
    flux, ivar, bits = _fluxes(columns, file)
    kind = _flux_kind(cards)
    scale = CGS if kind == "absolute" else 1.0
    name = bare_name(str(cards.get("ARCFILE") or file.path.name))
    return Record(
        id=name,
        wavelength=wavelength,
        segment=_segments(wavelength),
        flux=flux / scale,
        ivar=ivar * scale**2,
        flags=bits,
        line_spread=constant_resolution(wavelength, options.resolving_power or _resolution(cards)),
        native=_facts(cards, name),
        frame=_frame(cards),
        flux_kind=kind,
        air_formula=AIR_FORMULA if medium == "air" else "",
    )


def _wavelength(columns: list[Column], file: FitsFile, options: EsoOptions) -> tuple[Array, str]:
    """Vacuum Å, and the medium in which the file has them."""
    axis = _pick(columns, file, *WAVELENGTH)
    medium = options.medium or _medium(axis.ucd)
    if not medium:
        raise DataError(
            f"has UCD {axis.ucd!r}, which says neither air nor vacuum",
            path=file.path,
            field=axis.name,
            remedy="say medium=air or medium=vacuum",
        )
    wavelength = angstroms(_cell(axis, file), axis.unit or "Angstrom", file.path)
    return air_to_vacuum(wavelength) if medium == "air" else wavelength, medium


def _medium(ucd: str) -> str:
    """By the words of a wavelength's UCD; nothing if it has none."""
    words = ucd.split(";")
    if WAVELENGTH[0] not in words:
        return ""
    return "air" if IN_AIR in words else "vacuum"


def _fluxes(columns: list[Column], file: FitsFile) -> tuple[Array, Array, NDArray[np.uint32] | None]:
    """Flux and inverse variance in the file's units, and the quality of each pixel if there is one."""
    flux = _pick(columns, file, *FLUX)
    error = _pick(columns, file, *ERROR)
    quality = next((c for c in columns if c.ucd.startswith("meta.code.qual") or c.name == "QUAL"), None)
    bits = None if quality is None else as_bits(_cell(quality, file), file.path, quality.name)
    bad = False if bits is None else bits > 0
    return *weigh(_cell(flux, file), _cell(error, file), bad), bits


def _columns(file: FitsFile, hdu: int) -> list[Column]:
    cards = file.cards(hdu)
    count = int(cards.number("TFIELDS"))

    def text(card: str) -> str:
        return str(cards.get(card) or "").strip()

    return [
        Column(text(f"TTYPE{n}"), text(f"TUCD{n}").lower().replace(" ", ""), text(f"TUNIT{n}"), hdu)
        for n in range(1, count + 1)
    ]


def _pick(columns: list[Column], file: FitsFile, ucd: str, names: tuple[str, ...]) -> Column:
    """The column with a UCD, the main one if several have it; by name if none has."""
    found = _found(columns, ucd, names)
    if not found:
        raise DataError(
            f"has no column of UCD {ucd}, nor one named {' or '.join(names)}",
            path=file.path,
            field=f"HDU {columns[0].hdu}" if columns else None,
            remedy="give spectra with errors, as the standard asks",
        )
    return found[0]


def _found(columns: list[Column], ucd: str, names: tuple[str, ...]) -> list[Column]:
    by_ucd = [column for column in columns if column.ucd.startswith(ucd)]
    by_name = [column for name in names for column in columns if column.name.upper() == name]
    return sorted(by_ucd, key=lambda column: "meta.main" not in column.ucd) or by_name


def _cell(column: Column, file: FitsFile) -> NDArray[Any]:
    name, values = column.name, np.asarray(file.table(column.hdu)[column.name])
    if values.ndim != 2 or len(values) != 1 or values.shape[1] < 2:
        raise DataError(
            f"must be one row of pixels, got shape {values.shape}",
            path=file.path,
            field=name,
            remedy="check that it is a one-dimensional spectrum of ESO Phase 3",
        )
    return values[0] if values.dtype.kind in "iu" else floating(values[0], file.path, name)


def _flux_kind(cards: Cards) -> str:
    normalized = cards.get("CONTNORM")
    if not isinstance(normalized, bool):
        raise DataError(
            f"must be T or F, got {normalized!r}",
            path=cards.path,
            field="CONTNORM",
            remedy="repair the header: it says whether the flux is normalised",
        )
    if normalized:
        return "normalized"
    return "absolute" if str(cards.get("FLUXCAL")).upper() == "ABSOLUTE" else "relative"


def _frame(cards: Cards) -> str:
    system = str(cards.get("SPECSYS") or "")
    if system not in FRAMES:
        raise DataError(
            f"is {system!r}, not one of {', '.join(FRAMES)}",
            path=cards.path,
            field="SPECSYS",
            remedy="correct the wavelengths for the observatory's motion first",
        )
    return FRAMES[system]


def _resolution(cards: Cards) -> float:
    value, (low, high) = cards.optional("SPEC_RES"), RESOLUTIONS
    if value > 0 and not low <= value <= high:
        found = f"is {value:g}, not within {low:g} to {high:g}"
        raise DataError(found, path=cards.path, field="SPEC_RES", remedy="give resolving_power")
    if not value > 0:
        raise DataError(
            "does not say its resolving power",
            path=cards.path,
            field="SPEC_RES",
            remedy="give resolving_power",
        )
    return value


def _segments(wavelength: Array) -> NDArray[np.int16]:
    """A new detector after every hole."""
    steps = np.diff(wavelength)
    return np.concatenate([[0], np.cumsum(steps > GAP * np.median(steps))]).astype(np.int16)


def _facts(cards: Cards, name: str) -> dict[str, float | str]:
    return {
        "object": str(cards.get("OBJECT") or name),
        "instrument": str(cards.get("INSTRUME") or ""),
        "mjd": cards.optional("MJD-OBS"),
        "snr": cards.optional("SNR"),
        "collection": str(cards.get("PROG_ID") or cards.get("REFERENC") or ""),
    }


GAIA_ESO = SurveyReader(
    name="gaia_eso",
    read=read_gaia_eso,
    options=EsoOptions,
    flag_names={bit: f"QUAL_{bit}" for bit in range(32)},
    experimental=True,
    about={
        "title": "Gaia-ESO survey, spectra of ESO Phase 3",
        "citation": ["Gilmore et al. 2022, A&A 666, A120", "Randich et al. 2022, A&A 666, A121"],
        "wavelength": "air or vacuum by the UCD of the wavelength; frame by SPECSYS, heliocentric as barycentric",
        "flux": "absolute fluxes in 1e-16 erg/s/cm2/Å",
        "mask": "ivar = 0 where QUAL is set or the error is not positive",
        "lsf": "Gaussian of constant R: the card SPEC_RES unless told otherwise",
    },
)
