"""SDSS-V Milky Way Mapper: mwmStar and mwmVisit files (data model of DR19), BOSS or APOGEE spectra."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys import apogee_lsf
from synth2obs.io.surveys.apogee import NAMES as PIXMASK
from synth2obs.io.surveys.apogee_combined import BAD, PIXELS, segments
from synth2obs.io.surveys.cards import Cards, optional_number
from synth2obs.io.surveys.fits_file import FitsFile, as_bits, floating, open_fits
from synth2obs.io.surveys.record import Record, constant_resolution, mask
from synth2obs.io.surveys.survey import NoOptions, SurveyReader, Unit, Unwanted, check_resolution

Array = NDArray[np.floating[Any]]

HDUS = {"boss": (1, 2), "apogee": (3, 4)}
"""From Apache Point and Las Campanas."""

BOSS_RESOLUTION = ((3600.0, 6000.0, 10400.0), (1530.0, 2060.0, 3000.0))
"""Wavelengths in Å and nominal λ / FWHM (Smee et al. 2013, AJ 146, 32, figure 36), linear in between."""

MIDDLE_FIBRE = 150.0
"""Combined spectra do not say their fibres."""


@dataclass(frozen=True, kw_only=True)
class MwmOptions(NoOptions):
    """What to assume.

    Args:
        resolving_power: λ / FWHM, constant, instead of the nominal line spread.
    """

    resolving_power: float | None = None

    def __post_init__(self) -> None:
        check_resolution(self.resolving_power)


def read_mwm(instrument: str, unit: Unit, options: MwmOptions) -> Iterator[Record]:
    """Every spectrum of one instrument in a file, at both observatories; vacuum, rest frame.

    Raises:
        DataError: If the file is no mwmStar or mwmVisit file.
        Unwanted: If it has no spectrum of the instrument.
    """
    with open_fits(unit[0]) as file:
        if len(file) < 5 or file.cards().get("SDSS_ID") is None:
            raise DataError(
                "is no mwmStar or mwmVisit file: no SDSS_ID, or fewer than 5 HDUs",
                path=file.path,
                remedy="check the survey's name and the file",
            )
        tables = [(n, file.table(n)) for n in HDUS[instrument] if file.hdus[n].data is not None]
        tables = [(n, table) for n, table in tables if len(table)]
        if not tables:
            raise Unwanted(f"has no {instrument} spectrum", path=file.path, remedy="leave the file out")
        for number, table in tables:
            for row in table:
                yield _record(file, number, row, table.dtype.names, instrument, options)


def _record(
    file: FitsFile, hdu: int, row: Any, names: tuple[str, ...], instrument: str, options: MwmOptions
) -> Record:
    missing = {"flux", "ivar", "pixel_flags"} - set(names)
    if missing:
        raise DataError(
            f"lacks {', '.join(sorted(missing))}", path=file.path, field=f"HDU {hdu}", remedy="check the file"
        )
    apogee = instrument == "apogee"
    bits = as_bits(row["pixel_flags"], file.path, "pixel_flags")
    raw, weight = (floating(row[name], file.path, name) for name in ("flux", "ivar"))
    flux, ivar = mask(raw, weight, (bits & BAD > 0) if apogee else False)
    wavelength = _wavelength(file.cards(hdu), row, names)
    facts = _facts(file.cards().text("SDSS_ID"), row, names, hdu)
    visit = "" if np.isnan(facts["mjd"]) else f"-{facts['mjd']:.0f}"
    return Record(
        id=f"{facts['object']}/{facts['telescope']}{visit}",
        wavelength=wavelength,
        segment=segments() if apogee and len(flux) == PIXELS else np.zeros(len(flux), np.int16),
        flux=flux,
        ivar=ivar,
        flags=bits,
        line_spread=_line_spread(wavelength, instrument, options.resolving_power),
        rv=0.0,
        native=facts,
        frame="rest",
        flux_kind="absolute",
        air_formula="",
    )


def _facts(star: str, row: Any, names: tuple[str, ...], hdu: int) -> dict[str, Any]:
    found = {
        name: optional_number(row[column]) if column in names else float("nan")
        for name, column in (("mjd", "mjd"), ("snr", "snr"), ("rv", "v_rad"))
    }
    telescope = str(row["telescope"]).strip() if "telescope" in names else str(hdu)
    return {"object": star, "telescope": telescope, **found}


def _wavelength(cards: Cards, row: Any, names: tuple[str, ...]) -> Array:
    """The row's own, or 10^(CRVAL + CDELT i) of the header."""
    if "wavelength" in names:
        return np.asarray(row["wavelength"], dtype=np.float64)
    start, step, count = (cards.number(card) for card in ("CRVAL", "CDELT", "NPIXELS"))
    return np.asarray(10.0 ** (start + step * np.arange(int(count))))


def _line_spread(wavelength: Array, instrument: str, resolving_power: float | None) -> LineSpread:
    if resolving_power is not None:
        return constant_resolution(wavelength, resolving_power)
    if instrument == "boss" or len(wavelength) != PIXELS:
        return constant_resolution(wavelength, np.interp(wavelength, *BOSS_RESOLUTION))
    profile = apogee_lsf.nominal(MIDDLE_FIBRE)
    return apogee_lsf.gauss_hermite(profile, np.arange(PIXELS, dtype=float), np.gradient(wavelength))[0]


def _survey(instrument: str, flag_names: dict[int, str], lsf: str) -> SurveyReader:
    return SurveyReader(
        name=f"sdss5_{instrument}",
        read=partial(read_mwm, instrument),
        options=MwmOptions,
        flag_names=flag_names,
        same_pixels=True,
        experimental=True,
        about={
            "title": f"SDSS-V Milky Way Mapper, {instrument.upper()}",
            "citation": ["Kollmeier et al. 2025, arXiv:2507.06989"],
            "wavelength": "vacuum, rest frame as the data model says",
            "flux": "1e-17 erg/s/cm2/Å",
            "lsf": lsf,
        },
    )


SDSS5_BOSS = _survey("boss", {bit: f"BIT_{bit}" for bit in range(32)}, "nominal (Smee et al. 2013)")
SDSS5_APOGEE = _survey(
    "apogee",
    {bit: PIXMASK.get(bit, f"BIT_{bit}") for bit in range(32)},
    "nominal: apStar files of DR13 through fibres 145 to 244",
)
