"""LAMOST: low-resolution spectra (LRS) in the layouts of all releases (Cui et al. 2012, RAA 12, 1197)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_file import as_bits, open_fits
from synth2obs.io.surveys.lamost_catalogue import read_catalogue
from synth2obs.io.surveys.lamost_rows import raised, read_rows
from synth2obs.io.surveys.record import (
    Record,
    constant_resolution,
    mask,
    relativistic_velocity,
)
from synth2obs.io.surveys.survey import SurveyReader, Unit, Unwanted, check_resolution, choose

Array = NDArray[np.floating[Any]]

STEP = 1e-4
"""log10 of the ratio of two wavelengths."""

FIRST, PIXELS = 35_682, 3_920
"""The common grid is 10^(STEP (FIRST + i)); files of all releases seen start there and have up to 3909 pixels."""

FWHM = {0.0: 2.7, 5850.0: 4.2}
"""Å, the pixels included, by the first wavelength of each arm. Files say nothing, and the nominal R = 1800 is one
number for both arms; broadened MILES spectra fit 40 F and G dwarfs best with 2.6 to 2.7 Å at 4100-5600 Å and
4.1 to 4.7 Å at 5850-6600 Å (scatter between stars 0.2 and 0.5 Å)."""

BITS = ("BADCCD", "BADPROFILE", "NOSKY", "BRIGHTSKY", "BADCENTER", "NODATA")
OR_SHIFT = 16
NAMES = {bit: f"AND_{name}" for bit, name in enumerate(BITS)} | {
    bit + OR_SHIFT: f"OR_{name}" for bit, name in enumerate(BITS)
}
"""The AND mask in the lower, the OR mask in the upper 16 bits."""

MISFIT = 0.1
"""Pixels by which a file's wavelengths may differ from its cards: their float32 is good to 0.02."""


@dataclass(frozen=True, kw_only=True)
class LrsOptions:
    """What to read of LAMOST LRS files.

    Args:
        classes: CLASS cards that are wanted, separated by commas; ``any`` for all.
        resolving_power: λ / FWHM, constant; None for the widths in `FWHM`.
        line_errors: Of the pilot survey about strong lines: ``published``, or ``neighbours`` to take out the steps by
            a factor of √10 that its files have there.
    """

    classes: str = "STAR"
    resolving_power: float | None = None
    line_errors: str = "published"

    def __post_init__(self) -> None:
        check_resolution(self.resolving_power)
        choose("line_errors", self.line_errors, ("published", "neighbours"))


def read_lrs(unit: Unit, options: LrsOptions) -> Iterator[Record]:
    """The spectrum of one LRS file, heliocentric, not corrected for the star's velocity, on the survey's common grid.

    The layout is told from the content: an image whose rows the file names, or a table COADD. Where no row holds
    wavelengths, cards do. Pixels are bad where the inverse variance is 0, the AND mask is set, or the flux is exactly
    0 (padding at the red end).

    Raises:
        DataError: If the file has no known layout, or no vacuum and heliocentric wavelengths.
        Unwanted: If its class is not asked for.
    """
    with open_fits(unit[0]) as file:
        cards = file.cards()
        rows = read_rows(file)
        check_frame(cards)
        kind = str(cards.get("CLASS") or "unknown").upper()
        if options.classes != "any" and kind not in options.classes.upper().split(","):
            raise Unwanted(f"is a {kind}", path=file.path, field="CLASS", remedy="say classes=any to have it")
        yield _record(cards, rows, options)


def check_frame(cards: Cards) -> None:
    """Refuse a file that does not say that its wavelengths are vacuum and heliocentric.

    Raises:
        DataError: Naming the card.
    """
    for card, meaning in (("VACUUM", "vacuum wavelengths"), ("HELIO", "heliocentric wavelengths")):
        if cards.get(card) is not True:
            raise DataError(
                f"must be T for {meaning}, got {cards.get(card)!r}",
                path=cards.path,
                field=card,
                remedy="check that it is a LAMOST spectrum",
            )


def _record(cards: Cards, rows: dict[str, Array], options: LrsOptions) -> Record:
    place, early = _place(cards, rows), "WAVELENGTH" not in rows
    both, either = (_bits(rows[name], cards, name) for name in ("ANDMASK", "ORMASK"))
    bad = (both > 0) | (rows["FLUX"] == 0.0)
    flux, ivar, flags = np.zeros(PIXELS), np.zeros(PIXELS), np.zeros(PIXELS, np.uint32)
    weight = raised(rows["IVAR"]) if early and options.line_errors == "neighbours" else rows["IVAR"]
    flux[place], ivar[place] = mask(rows["FLUX"], weight, bad)
    flags[place] = pack(both, either)
    wavelength = 10.0 ** (STEP * (FIRST + np.arange(PIXELS)))
    z, z_error = cards.optional("Z"), cards.optional("Z_ERR")
    return Record(
        id=_name(cards),
        wavelength=wavelength,
        segment=np.zeros(PIXELS, np.int16),
        flux=flux,
        ivar=ivar,
        flags=flags,
        line_spread=_line_spread(wavelength, options.resolving_power),
        rv=relativistic_velocity(z) if abs(z) < 1 else float("nan"),
        rv_error=C_KMS * z_error if z_error >= 0 else float("nan"),
        native=facts(cards)
        | {"class": str(cards.get("CLASS") or ""), "subclass": str(cards.get("SUBCLASS") or "")}
        | {f"snr_{band}": _snr(cards, band.upper()) for band in "ugriz"},
        frame="barycentric",
        flux_kind="relative",
        air_formula="",
    )


def _bits(values: Array, cards: Cards, name: str) -> NDArray[np.uint32]:
    """Masks, which LRS files store as floats."""
    if not (np.isfinite(values).all() and (values == np.rint(values)).all()):
        raise DataError(
            "holds no whole numbers",
            path=cards.path,
            field=name,
            remedy="check that it is a LAMOST LRS spectrum",
        )
    return as_bits(values.astype(np.int64), cards.path, name)


def _line_spread(wavelength: Array, resolving_power: float | None) -> LineSpread:
    if resolving_power is not None:
        return constant_resolution(wavelength, resolving_power)
    arm = np.searchsorted(list(FWHM), wavelength, side="right") - 1
    whole = np.array(list(FWHM.values()))[arm] / FWHM_PER_SIGMA
    return LineSpread.single(np.sqrt(whole**2 - np.gradient(wavelength) ** 2 / 12.0))


def _name(cards: Cards) -> str:
    """Number of the observation; where a release gives none, day, plan, spectrograph and fibre, as in files' names.

    Raises:
        DataError: If a card that is needed is missing.
    """
    if cards.get("OBSID") is not None:
        return cards.text("OBSID")
    day, spectrograph, fibre = (int(cards.number(card)) for card in ("LMJD", "SPID", "FIBERID"))
    return f"{day}-{cards.text('PLANID')}_sp{spectrograph:02d}-{fibre:03d}"


def _snr(cards: Cards, band: str) -> float:
    """Signal to noise in a filter, under the name of its time."""
    return cards.optional("SN_" + band if cards.get("SNR" + band) is None else "SNR" + band)


def facts(cards: Cards) -> dict[str, float | str]:
    """What every LAMOST header says of the observation."""
    return {
        "object": str(cards.get("DESIG") or _name(cards)),
        "barycentric_correction": cards.optional("HELIO_RV"),
        "mjd": cards.optional("MJD"),
        "fibre": cards.optional("FIBERID"),
        "spectrograph": cards.optional("SPID"),
        "release": str(cards.get("DATA_V") or ""),
    }


def pack(both: NDArray[np.uint32], either: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """AND and OR mask in one word."""
    return (both & np.uint32(0xFFFF)) | (either << np.uint32(OR_SHIFT))


def _place(cards: Cards, rows: Mapping[str, Array]) -> slice:
    """Where a file's pixels lie on the common grid: by its wavelengths, or by its cards, which say it twice."""
    _check_equal(cards, "COEFF1", STEP)
    start = cards.number("COEFF0") / STEP
    if "WAVELENGTH" in rows:
        with np.errstate(invalid="ignore", divide="ignore"):
            index = np.log10(rows["WAVELENGTH"]) / STEP
        return on_lattice(cards, "WAVELENGTH", index, FIRST, PIXELS, start)
    for again, card in (("CRVAL1", "COEFF0"), ("CD1_1", "COEFF1")):
        if cards.get(again) is not None:
            _check_equal(cards, again, cards.number(card))
    return on_lattice(cards, "COEFF0", start + np.arange(len(rows["FLUX"])), FIRST, PIXELS)


def _check_equal(cards: Cards, card: str, wanted: float) -> None:
    """Refuse a card that holds another number."""
    if not abs(cards.number(card) / wanted - 1.0) <= 1e-6:
        raise DataError(
            f"is {cards.number(card)}, not {wanted}",
            path=cards.path,
            field=card,
            remedy="check that it is a LAMOST LRS spectrum",
        )


def on_lattice(
    cards: Cards, field: str, index: Array, first: int, pixels: int, start: float | None = None
) -> slice:
    """The run of a lattice on which wavelengths lie.

    Args:
        cards: For messages.
        field: Where the wavelengths stand in the file.
        index: Lattice numbers of the file's pixels, nearly whole, shape (P,).
        first, pixels: The lattice.
        start: Number of the first pixel by the header; the wavelengths' own if None.

    Raises:
        DataError: If the numbers are not whole and consecutive, or leave the lattice.
    """
    begins = float(index[0]) if start is None else start
    begin = round(begins) if np.isfinite(index).all() else 0
    misfit = max(np.abs(index - (begin + np.arange(len(index)))).max(initial=0.0), abs(begins - begin))
    inside = first <= begin and begin + len(index) <= first + pixels
    if not (misfit < MISFIT and inside):
        raise DataError(
            f"wavelengths are not those of the survey: {misfit:.3g} pixels away, or beyond the known range",
            path=cards.path,
            field=field,
            remedy="check that it is a LAMOST LRS spectrum",
        )
    return slice(begin - first, begin - first + len(index))


LAMOST_LRS = SurveyReader(
    name="lamost_lrs",
    read=read_lrs,
    options=LrsOptions,
    parameters=read_catalogue,
    flag_names=NAMES,
    same_pixels=True,
    about={
        "title": "LAMOST low-resolution survey",
        "citation": ["Cui et al. 2012, RAA 12, 1197", "Luo et al. 2015, RAA 15, 1095"],
        "wavelength": "vacuum, heliocentric (at most 0.02 km/s from barycentric), not shifted to rest",
        "velocity": "rv and rv_error are c times Z and Z_ERR, Z taken relativistically",
        "mask": "ivar = 0 where it is so in the file, where ANDMASK is set, and where flux is exactly 0",
        "lsf": "Gaussian of 2.7 Å FWHM to 5850 Å and 4.2 Å beyond, pixels included: measured against MILES",
    },
)
