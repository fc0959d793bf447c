"""LAMOST: medium-resolution spectra (MRS), combined or single exposures (Liu et al. 2020, arXiv:2005.07210)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.fits_file import FitsFile, as_bits, floating, open_fits
from synth2obs.io.surveys.lamost import NAMES, check_frame, facts, on_lattice, pack
from synth2obs.io.surveys.record import Record, constant_resolution, mask
from synth2obs.io.surveys.survey import SurveyReader, Unit, Unwanted, check_resolution, choose

Array = NDArray[np.floating[Any]]

STEP = 1e-5
LATTICES = {"B": (368_700, 4_901), "R": (379_400, 4_601)}
"""First number and pixels of 10^(STEP n) in each arm: 4864-5445 and 6223-6918 Å, wider than every file seen."""

EXPOSURE_PIXELS = 4136
LIMITS = {"B": (4860.0, 5450.0), "R": (6220.0, 6920.0)}
"""Å. Ends of the arms, and the axis of an arm that a file lacks."""

RESOLVING_POWER = 7500.0
"""Nominal λ / FWHM; files say nothing."""


@dataclass(frozen=True, kw_only=True)
class MrsOptions:
    """What to read of LAMOST MRS files.

    Args:
        spectra: ``coadd`` for the combination, ``single`` for every exposure.
        resolving_power: λ / FWHM, constant; the nominal one if None.
    """

    spectra: str = "coadd"
    resolving_power: float | None = None

    def __post_init__(self) -> None:
        choose("spectra", self.spectra, ("coadd", "single"))
        check_resolution(self.resolving_power)


@dataclass(frozen=True)
class Arm:
    """One arm of one spectrum, shape (P,) each."""

    wavelength: Array
    flux: Array
    ivar: Array
    flags: NDArray[np.uint32]


def read_mrs(unit: Unit, options: MrsOptions) -> Iterator[Record]:
    """Spectra of one MRS file: two arms, heliocentric, not corrected for the star's velocity or for the blaze.

    An arm that is missing has inverse variance 0 everywhere. Single exposures keep their own wavelengths, which
    increase here even where the file has them the other way round.

    Raises:
        DataError: If the file is no MRS file, or its wavelengths are not vacuum and heliocentric.
        Unwanted: If it holds no spectrum of the kind that is asked for.
    """
    with open_fits(unit[0]) as file:
        check_frame(file.cards())
        if not any(name.startswith(("COADD_", "B-", "R-")) for name in file.names):
            raise DataError(
                "has neither COADD_B, COADD_R nor exposures",
                path=file.path,
                remedy="use lamost_lrs for low-resolution files",
            )
        _check_tables(file)
        found = list(_coadd(file) if options.spectra == "coadd" else _exposures(file))
        if not found:
            raise Unwanted(f"has no {options.spectra} spectrum", path=file.path, remedy="leave the file out")
        for name, arms in found:
            yield _record(file, name, arms, options)


def _check_tables(file: FitsFile) -> None:
    """Refuse a file whose header counts other tables than there are: one that lost a name would lose an arm silently.

    Raises:
        DataError: Naming the card.
    """
    cards = file.cards()
    for arm in LATTICES:
        exposures = sum(name.startswith(f"{arm}-") for name in file.names)
        states = {f"NEXP_{arm}": exposures, f"COMBIN_{arm}": f"COADD_{arm}" in file.names}
        for card, there in states.items():
            if cards.get(card) not in (None, there):
                raise DataError(
                    f"is {cards.get(card)!r}, but the file has {there!r}",
                    path=file.path,
                    field=card,
                    remedy="check that it is a LAMOST MRS spectrum",
                )


def _coadd(file: FitsFile) -> Iterator[tuple[str, list[Arm]]]:
    names = {arm: f"COADD_{arm}" for arm in LATTICES}
    if set(names.values()) & set(file.names):
        yield "", [_coadded_arm(file, arm, name) for arm, name in names.items()]


def _coadded_arm(file: FitsFile, arm: str, name: str) -> Arm:
    first, pixels = LATTICES[arm]
    wavelength = 10.0 ** (STEP * (first + np.arange(pixels)))
    empty = Arm(wavelength, np.zeros(pixels), np.zeros(pixels), np.zeros(pixels, np.uint32))
    if name not in file.names:
        return empty
    part = _columns(file, name, ("ANDMASK", "ORMASK"))
    place = on_lattice(file.cards(), f"{name}.LOGLAM", np.log10(part.wavelength) / STEP, first, pixels)
    for array, values in ((empty.flux, part.flux), (empty.ivar, part.ivar), (empty.flags, part.flags)):
        array[place] = values
    return empty


def _exposures(file: FitsFile) -> Iterator[tuple[str, list[Arm]]]:
    """Every exposure, by its local modified Julian minute; single arms are completed."""
    minutes = dict.fromkeys(name[2:] for name in file.names if name.startswith(("B-", "R-")))
    for minute in minutes:
        yield minute, [_exposed_arm(file, arm, f"{arm}-{minute}") for arm in LIMITS]


def _exposed_arm(file: FitsFile, arm: str, name: str) -> Arm:
    if name not in file.names:
        axis = np.linspace(*LIMITS[arm], EXPOSURE_PIXELS)
        none = np.zeros(EXPOSURE_PIXELS)
        return Arm(axis, none, none, np.zeros(EXPOSURE_PIXELS, np.uint32))
    part = _columns(file, name, ("PIXMASK", "PIXMASK"))
    low, high = LIMITS[arm]
    inside = low < part.wavelength[0] and part.wavelength[-1] < high
    if len(part.flux) != EXPOSURE_PIXELS or not inside:
        found = f"{len(part.flux)} pixels, {part.wavelength[0]:.1f} to {part.wavelength[-1]:.1f} Å"
        raise DataError(
            f"has {found}, not {EXPOSURE_PIXELS} within {low:.0f} to {high:.0f} Å",
            path=file.path,
            field=name,
            remedy="check that it is a LAMOST MRS spectrum",
        )
    return part


def _columns(file: FitsFile, name: str, masks: tuple[str, str]) -> Arm:
    """Columns of one table; bad pixels have inverse variance 0."""
    table = file.table(name)
    missing = {"FLUX", "IVAR", "LOGLAM", *masks} - set(table.dtype.names)
    if missing or len(table) < 2:
        raise DataError(
            f"has {len(table)} rows and lacks {', '.join(sorted(missing)) or 'no column'}",
            path=file.path,
            field=name,
            remedy="check that it is a LAMOST MRS spectrum",
        )
    both, either = (as_bits(table[column], file.path, f"{name}.{column}") for column in masks)
    raw, weight, log_wave = (
        floating(table[column], file.path, f"{name}.{column}") for column in ("FLUX", "IVAR", "LOGLAM")
    )
    flux, ivar = mask(raw, weight, (both > 0) | (raw == 0.0))
    wavelength: Array = 10.0**log_wave
    # Red exposures are stored from the red end.
    order = slice(None, None, -1 if wavelength[0] > wavelength[-1] else 1)
    return Arm(wavelength[order], flux[order], ivar[order], pack(both, either)[order])


def _record(file: FitsFile, name: str, arms: list[Arm], options: MrsOptions) -> Record:
    cards = file.cards()
    wavelength, flux, ivar, flags = (
        np.concatenate([getattr(arm, part) for arm in arms])
        for part in ("wavelength", "flux", "ivar", "flags")
    )
    record = Record(
        id=cards.text("OBSID"),
        wavelength=wavelength,
        segment=np.repeat(np.arange(len(arms), dtype=np.int16), [len(arm.flux) for arm in arms]),
        flux=flux,
        ivar=ivar,
        flags=flags,
        line_spread=constant_resolution(wavelength, options.resolving_power or RESOLVING_POWER),
        native=facts(cards),
        frame="barycentric",
        flux_kind="relative",
        air_formula="",
    )
    if not name:
        return record
    minute = {"minute": float(name) if name.isdigit() else float("nan")}
    return replace(record, id=f"{record.id}/{name}", native={**record.native, **minute})


LAMOST_MRS = SurveyReader(
    name="lamost_mrs",
    read=read_mrs,
    options=MrsOptions,
    flag_names=NAMES,
    about={
        "title": "LAMOST medium-resolution survey",
        "citation": ["Liu et al. 2020, arXiv:2005.07210", "Cui et al. 2012, RAA 12, 1197"],
        "wavelength": "vacuum, heliocentric (at most 0.02 km/s from barycentric), not shifted to rest",
        "flux": "the blaze is not removed",
        "mask": "ivar = 0 where it is so in the file, where ANDMASK or PIXMASK is set, and where flux is exactly 0",
        "lsf": f"Gaussian of constant R = {RESOLVING_POWER:g} unless told otherwise: nominal",
    },
)
