"""Wavelengths of an image of one dimension by the cards of its header: the FITS standard's, and IRAF's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.cards import REPAIR, Cards

WCS = "wcs"
"""Name of a wavelength that stands in the header of the flux."""

MEDIA = {"AWAV": "air", "WAVE": "vacuum"}
"""Medium by the beginning of CTYPE1 (FITS standard 4.0, table 25)."""

OTHERS = ("FREQ", "ENER", "WAVN", "VRAD", "VOPT", "VELO", "ZOPT", "BETA")
"""Beginnings of CTYPE1 of axes that are no wavelength."""

EXPONENT = 20.0
"""No wavelength in any unit of spectra begins below and has this logarithm: 10^20 Å."""


@dataclass(frozen=True)
class Axis:
    """An axis as the header has it.

    Args:
        values: Wavelengths, or their logarithms to base 10, shape (P,).
        log: Whether they are logarithms.
        unit: CUNIT1, or nothing.
        medium: ``air`` or ``vacuum`` where CTYPE1 says it, or nothing.
    """

    values: NDArray[np.float64]
    log: bool
    unit: str
    medium: str


def wcs_axis(cards: Cards, pixels: int) -> Axis:
    """The axis CRVAL1 + (i + 1 - CRPIX1) CDELT1, or CD1_1 in the place of CDELT1.

    With DC-FLAG = 1, or CTYPE1 = WAVE-LOG and a CRVAL1 that is a logarithm, it is log10 of the wavelength (IRAF); else
    WAVE-LOG and AWAV-LOG are CRVAL1 exp(… / CRVAL1), as the FITS standard says.

    Raises:
        DataError: If a card is missing or the axis is no wavelength.
    """
    kind = str(cards.get("CTYPE1") or "").upper().replace(" ", "")
    if kind.startswith(OTHERS) or "-" in kind and not kind.endswith("-LOG"):
        found = f"is {kind!r}, no linear or logarithmic wavelength"
        raise DataError(found, path=cards.path, field="CTYPE1", remedy="write wavelengths as a column")
    start, step, first = cards.number("CRVAL1"), _step(cards), _first(cards)
    away = step * (np.arange(pixels, dtype=np.float64) + 1.0 - first)
    is_log = cards.get("DC-FLAG") == 1 or (kind.endswith("-LOG") and start < EXPONENT)
    exponential = kind.endswith("-LOG") and not is_log
    return Axis(
        values=start * np.exp(away / start) if exponential else start + away,
        log=is_log,
        unit=_unit(cards, is_log),
        medium=MEDIA.get(kind.removesuffix("-LOG"), ""),
    )


def _unit(cards: Cards, is_log: bool) -> str:
    """CUNIT1 without the logarithm that DC-FLAG says already."""
    said = str(cards.get("CUNIT1") or "").strip()
    return said.partition("(")[2].removesuffix(")") if is_log and "(" in said else said


def _step(cards: Cards) -> float:
    name = next((card for card in ("CD1_1", "CDELT1") if cards.get(card) is not None), "CDELT1")
    step = cards.number(name)
    if name == "CD1_1" and cards.get("CDELT1") is not None:
        _refuse_two(cards, step)
    if step == 0:
        raise DataError("is 0", path=cards.path, field=name, remedy=REPAIR)
    return step * _factor(cards)


def _refuse_two(cards: Cards, step: float) -> None:
    """CD1_1 and CDELT1 may both stand there and say the same; 1 is the default of either."""
    other = cards.number("CDELT1")
    if other != 1.0 and not np.isclose(other, step, rtol=1e-6, atol=0):
        found = f"is {step:g}, but CDELT1 = {other:g}"
        raise DataError(found, path=cards.path, field="CD1_1", remedy="keep the right one")


def _factor(cards: Cards) -> float:
    """PC1_1, which multiplies CDELT1 where there is no CD1_1."""
    return 1.0 if cards.get("CD1_1") is not None or cards.get("PC1_1") is None else cards.number("PC1_1")


def _first(cards: Cards) -> float:
    return 1.0 if cards.get("CRPIX1") is None else cards.number("CRPIX1")
