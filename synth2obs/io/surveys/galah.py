"""GALAH: HERMES spectra of DR3 and of reduction 6.0, one file per CCD (Buder et al. 2021, MNRAS 506, 150)."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.unpacked import bare_name
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_file import open_fits
from synth2obs.io.surveys.galah_ccd import NOMINAL_AXIS, PIXELS, Ccd, read_ccd
from synth2obs.io.surveys.galah_lsf import nominal
from synth2obs.io.surveys.galah_tables import read_catalogue
from synth2obs.io.surveys.record import Record, constant_resolution, extended, shifted, weigh
from synth2obs.io.surveys.survey import SurveyReader, Unit, check_resolution, choose

Array = NDArray[np.floating[Any]]

NAME = re.compile(r"(\d{15})([1-4])$")
"""sobject_id and number of the CCD."""

TELLURIC = 0
LABELS = {"teff": "TEFF_R", "logg": "LOGG_R", "fe_h": "FE_H_R", "alpha_fe": "A_FE_R", "vmic": "VMIC_R"}
VELOCITIES_AGREE = 0.1
"""km/s. The CCDs of one star are shifted by the same velocity."""


@dataclass(frozen=True, kw_only=True)
class GalahOptions:
    """What to read of GALAH files.

    Args:
        flux: ``normalized`` or ``counts``.
        frame: ``rest`` or ``barycentric``; None for what the files have (DR3's normalised spectra are at rest).
        tellurics: ``mask`` (ivar = 0) or ``keep`` pixels that are flagged TELLURIC.
        resolving_power: λ / FWHM, constant, instead of the file's or the nominal line spread.
    """

    flux: str = "normalized"
    frame: str | None = None
    tellurics: str = "mask"
    resolving_power: float | None = None

    def __post_init__(self) -> None:
        choose("flux", self.flux, ("normalized", "counts"))
        choose("tellurics", self.tellurics, ("mask", "keep"))
        if self.frame is not None:
            choose("frame", self.frame, ("rest", "barycentric"))
        check_resolution(self.resolving_power)


def by_star(paths: Sequence[Path]) -> list[Unit]:
    """Files of one sobject_id together, ordered by CCD; the first file of a star gives its place."""
    stars: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        match = NAME.fullmatch(bare_name(path.name))
        stars.setdefault((path.parent, match.group(1) if match else path.name), []).append(path)
    return [tuple(sorted(files)) for files in stars.values()]


def read_galah(unit: Unit, options: GalahOptions) -> Iterator[Record]:
    """The spectrum of one star from up to four files ``{sobject_id}{ccd}.fits``; every CCD is a segment.

    Wavelengths are linear in air and become vacuum. A CCD without a file or without a normalised spectrum has
    inverse variance 0 everywhere and the survey's usual wavelengths, so that all stars have the same pixels; the
    last of 4097 pixels is such a filler where a file has 4096.

    Raises:
        DataError: If a name is no sobject_id with a CCD, the CCDs contradict each other, or nothing is there.
    """
    star, paths = _files(unit)
    found = {ccd: _read(path, ccd, options) for ccd, path in paths.items()}
    parts = {ccd: part for ccd, part in found.items() if part is not None}
    if not parts:
        raise DataError(
            "no CCD has a normalised spectrum", path=unit[0], remedy="say flux=counts to have the counts"
        )
    _check_velocities(unit, parts)
    yield _record(star, parts, options)


def _files(unit: Unit) -> tuple[str, dict[int, Path]]:
    name, paths = "", dict[int, Path]()
    for path in unit:
        match = NAME.fullmatch(bare_name(path.name))
        if match is None or int(match.group(2)) in paths:
            raise DataError(
                "the name must be a sobject_id of 15 digits and the number of the CCD, each once",
                path=path,
                remedy="keep the names of the archive, e.g. 1311230030010961.fits",
            )
        name, paths[int(match.group(2))] = name or match.group(1), path
    return name, paths


def _read(path: Path, ccd: int, options: GalahOptions) -> Ccd | None:
    with open_fits(path) as file:
        part = read_ccd(file, ccd, options.flux == "normalized")
        return None if part is None else _framed(part, options.frame)


def _framed(part: Ccd, frame: str | None) -> Ccd:
    """The CCD on the axis that is asked for.

    Raises:
        DataError: If that takes a velocity that the file does not have.
    """
    if not part.at_rest and frame != "rest" and np.isnan(part.motion):
        raise DataError(
            "is not corrected for the observatory's motion",
            path=part.cards.path,
            field="BARYEFF",
            remedy="say frame=rest to shift it by its own velocity",
        )
    if frame is None or (frame == "rest") == part.at_rest:
        return part
    if np.isnan(part.velocity):
        raise DataError(
            "has no velocity to change the frame by",
            path=part.cards.path,
            field="RVCOM",
            remedy="leave it out",
        )
    if part.at_rest:
        return replace(part, wavelength=part.wavelength / (1.0 - part.velocity / C_KMS), at_rest=False)
    return replace(part, wavelength=shifted(part.wavelength, -part.velocity), at_rest=True)


def _check_velocities(unit: Unit, parts: dict[int, Ccd]) -> None:
    speeds = [part.velocity for part in parts.values() if np.isfinite(part.velocity)]
    if speeds and max(speeds) - min(speeds) > VELOCITIES_AGREE:
        raise DataError(
            f"its CCDs are shifted by {min(speeds):.2f} to {max(speeds):.2f} km/s",
            path=unit[0],
            field="CRVAL1",
            remedy="check that the files are of one star and release",
        )
    if len({part.at_rest for part in parts.values()}) > 1:
        raise DataError("its CCDs are of two releases", path=unit[0], remedy="ingest one release at a time")


def _record(star: str, parts: dict[int, Ccd], options: GalahOptions) -> Record:
    first = next(iter(parts.values()))
    speed = first.velocity if np.isfinite(first.velocity) else 0.0
    columns = [_padded(ccd, parts.get(ccd), speed if first.at_rest else 0.0) for ccd in range(1, 5)]
    air, flux, error, telluric = (np.concatenate(column) for column in list(zip(*columns, strict=True))[:4])
    wavelength = air_to_vacuum(air)
    flux, ivar = weigh(flux, error, telluric & (options.tellurics == "mask"))
    return Record(
        id=star,
        wavelength=wavelength,
        segment=np.repeat(np.arange(4, dtype=np.int16), PIXELS),
        flux=flux,
        ivar=ivar,
        flags=telluric.astype(np.uint32) << np.uint32(TELLURIC),
        line_spread=LineSpread.of_detectors([c[4] for c in columns])
        if options.resolving_power is None
        else constant_resolution(wavelength, options.resolving_power),
        rv=0.0 if first.at_rest else first.velocity,
        rv_error=first.velocity_error,
        labels=_labels(first.cards),
        native=_facts(star, parts),
        frame="rest" if first.at_rest else "barycentric",
        flux_kind="normalized" if options.flux == "normalized" else "relative",
        air_formula=AIR_FORMULA,
    )


def _padded(ccd: int, part: Ccd | None, speed: float) -> tuple[Any, ...]:
    """Wavelength, flux, error and tellurics of a CCD with `PIXELS` pixels, and its line spread."""
    if part is None:
        start, step = NOMINAL_AXIS[ccd - 1]
        axis = (start + step * np.arange(PIXELS)) * (1.0 - speed / C_KMS)
        nothing = np.zeros(PIXELS)
        return axis, nothing, nothing, nothing > 0, nominal(ccd, PIXELS, step)
    short = PIXELS - len(part.flux)
    step = part.wavelength[-1] - part.wavelength[-2]
    axis = np.append(part.wavelength, part.wavelength[-1] + step * np.arange(1, short + 1))
    spread = extended(part.spread, short)
    return axis, *(np.pad(a, (0, short)) for a in (part.flux, part.error, part.telluric)), spread


def _labels(cards: Cards) -> dict[str, float]:
    """Parameters of reduction 6.0, where the header calls them trustworthy."""
    if cards.get("PAR_OK") != 1:
        return {}
    return {name: cards.optional(card) for name, card in LABELS.items()}


def _facts(star: str, parts: dict[int, Ccd]) -> dict[str, float | str]:
    first = next(iter(parts.values()))
    return {
        "object": star,
        "ccds": "".join(map(str, parts)),
        "rv": first.velocity,
        "rv_error": first.velocity_error,
        "barycentric_correction": first.motion,
        "mjd": first.cards.optional("UTMJD"),
        "fibre": first.cards.optional("FIBRE"),
        "gaia_id": str(first.cards.get("GAIA_ID") or ""),
        "reduction": str(first.cards.get("PIPE_VER") or first.cards.get("ORIGIN") or ""),
    }


GALAH = SurveyReader(
    name="galah",
    read=read_galah,
    options=GalahOptions,
    group=by_star,
    parameters=read_catalogue,
    flag_names={TELLURIC: "TELLURIC"},
    about={
        "title": "GALAH survey",
        "citation": ["De Silva et al. 2015, MNRAS 449, 2604", "Kos et al. 2017, MNRAS 464, 1259"],
        "errors": "the files' relative errors times flux",
        "velocity": "rest: axis as published, or shifted by RVCOM; native rv is the velocity of that shift",
        "mask": "ivar = 0 where the error is not positive, and in the O2 A band (DR3) or where the atmosphere "
        "transmits less than 0.7 (reduction 6.0) unless told otherwise; a missing CCD has no weight at all",
        "lsf": "DR3: nominal per CCD, means of six fibres of reduction 6.0; reduction 6.0: FWHM and B of each file",
    },
)
