"""GALAH: one CCD of one star, in the layout of DR3 or of reduction 6.0 (the input of DR4)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys import galah_lsf
from synth2obs.io.surveys.cards import Cards, optional_number
from synth2obs.io.surveys.fits_file import FitsFile
from synth2obs.io.surveys.images import linear_axis

Array = NDArray[np.floating[Any]]

PIXELS = 4097
"""Pixels of a CCD in a shard: files have 4096 or, after some resamplings, 4097."""

NOMINAL_AXIS = ((4713.379, 0.046008), (5648.665, 0.054686), (6478.256, 0.063125), (7585.395, 0.073558))
"""First wavelength and step (air Å) of each CCD: medians over 59 stars of DR3."""

FAR = 12.0
"""Å by which a first wavelength may differ: Doppler shifts of 450 km/s, and changes of the grating."""

NORMALISED = 4
"""HDU of DR3's normalised spectrum."""

OXYGEN = (7593.0, 7697.0)
"""Air Å, as the observatory sees it: the A band, which DR3 does not correct."""

MOST = 31.0
"""km/s. An observatory moves no faster towards a star."""

TRANSMISSION = 0.7
"""Less than this is not trusted even where the reduction has corrected it."""


@dataclass(frozen=True)
class Ccd:
    """One CCD, shape (P,) each; air wavelengths. A bad pixel has error 0.

    Args:
        wavelength: As the file states it.
        flux, error: Normalised, or counts.
        telluric: Pixels in which the atmosphere absorbs and nothing or too much was corrected.
        spread: Line spread.
        velocity: km/s by which the axis has been shifted to rest, or the star's velocity if it has not.
        velocity_error: Its error; NaN if the file has none.
        motion: Barycentric correction in km/s that the file states; NaN if none was done.
        at_rest: Whether the axis is in the star's rest frame.
        cards: Header of the first HDU.
    """

    wavelength: Array
    flux: Array
    error: Array
    telluric: NDArray[np.bool_]
    spread: LineSpread
    velocity: float
    velocity_error: float
    motion: float
    at_rest: bool
    cards: Cards


def read_ccd(file: FitsFile, ccd: int, normalized: bool) -> Ccd | None:
    """A CCD in either layout; None if it has no normalised spectrum and one is asked for.

    Raises:
        DataError: If the layout is neither, or the wavelengths are not those of the CCD.
    """
    if "RESOLUTION_PROFILE" in file.names:
        return _reduction_6(file, ccd, normalized)
    if {"INPUT_SIGMA", "NO_SKY_SUBSPECTRUM"} & set(file.names):
        return _dr3(file, ccd, normalized)
    raise DataError(
        f"is no GALAH spectrum: its HDUs are {', '.join(file.names)}",
        path=file.path,
        remedy="give the per-CCD files of DR3 or of reduction 6.0",
    )


def _dr3(file: FitsFile, ccd: int, normalized: bool) -> Ccd | None:
    """The errors of HDU 1 are relative; HDU 4 has HDU 0's pixels on an axis of its own, shifted to rest.

    HDUs go by number: some files lack the names of some.
    """
    cards, counts = file.cards(), file.image(0, 1)
    axis = _axis(cards, len(counts), ccd)
    relative = file.image(1, 1)
    has_rest = file.has(NORMALISED)
    if normalized and not has_rest:
        return None
    speed = _shift(file) if has_rest else float("nan")
    motion = cards.optional("BARYEFF")
    flux = file.image(NORMALISED, 1) if normalized else counts
    _same_length(file, counts, relative, flux)
    return Ccd(
        wavelength=_axis(file.cards(NORMALISED), len(flux), ccd) if normalized else axis,
        flux=flux,
        error=relative * flux,
        telluric=_oxygen(axis, motion),
        spread=galah_lsf.nominal(ccd, len(flux), cards.number("CDELT1")),
        velocity=speed,
        velocity_error=float("nan"),
        motion=motion,
        at_rest=normalized,
        cards=cards,
    )


def _reduction_6(file: FitsFile, ccd: int, normalized: bool) -> Ccd | None:
    """Counts, normalised flux, relative errors and FWHM on one barycentric axis."""
    cards, counts = file.cards(), file.image(0, 1)
    if cards.get("WAV_OK") == 0 or normalized and _absent(file, "normalized"):
        return None
    flux = file.image("normalized", 1) if normalized else counts
    relative = file.image("relative_error", 1)
    telluric = np.ones_like(flux) if _absent(file, "teluric") else file.image("teluric", 1)
    _same_length(file, counts, relative, flux, telluric)
    known = cards.get("RVCOM_OK") == 1
    return Ccd(
        wavelength=_axis(cards, len(counts), ccd),
        flux=flux,
        error=relative * flux,
        telluric=~(telluric > TRANSMISSION),
        spread=_own_spread(file, ccd, len(flux)),
        velocity=cards.optional("RVCOM") if known else float("nan"),
        velocity_error=cards.optional("E_RVCOM") if known else float("nan"),
        motion=cards.optional("BARYEFF"),
        at_rest=False,
        cards=cards,
    )


def _absent(file: FitsFile, name: str) -> bool:
    return name.upper() not in file.names or file.hdus[name].data is None


def _own_spread(file: FitsFile, ccd: int, pixels: int) -> LineSpread:
    """From the resolution profile if it has one that makes sense, else nominal."""
    pixel, boxiness = file.cards().number("CDELT1"), optional_number(file.cards().get("B"))
    if _absent(file, "resolution_profile"):
        return galah_lsf.nominal(ccd, pixels, pixel)
    fwhm = file.image("resolution_profile", 1)
    try:
        if len(fwhm) != pixels:
            raise ValueError(f"it has {len(fwhm)} pixels")
        return galah_lsf.line_spread(fwhm, boxiness, pixel)
    except ValueError as error:
        raise DataError(
            f"is no line spread: {error}",
            path=file.path,
            field="resolution_profile",
            remedy="leave the file out",
        ) from error


def _axis(cards: Cards, pixels: int, ccd: int) -> Array:
    start, step = NOMINAL_AXIS[ccd - 1]
    axis = linear_axis(cards, pixels)
    if abs(axis[0] - start) > FAR or abs(np.diff(axis[:2])[0] / step - 1.0) > 0.01:
        raise DataError(
            f"starts at {axis[0]:.2f} Å with steps of {cards.number('CDELT1'):.5f}; CCD {ccd} has about {start} "
            f"and {step}",
            path=cards.path,
            field="CRVAL1",
            remedy="check the CCD's number in the file name, and the header",
        )
    if not PIXELS - 1 <= pixels <= PIXELS:
        raise DataError(f"has {pixels} pixels", path=cards.path, field="NAXIS1", remedy="use one CCD a file")
    return axis


def _shift(file: FitsFile) -> float:
    """Velocity in km/s by which HDU 4 was shifted: its axis is (1 - v/c) times that of HDU 0.

    Raises:
        DataError: If start and step say different things.
    """
    rest, seen = file.cards(NORMALISED), file.cards()
    by_start, by_step = (-(rest.number(c) / seen.number(c) - 1.0) * C_KMS for c in ("CRVAL1", "CDELT1"))
    if abs(by_start - by_step) > 1.0 or abs(by_start) > 1000.0:
        raise DataError(
            f"the normalised axis is shifted by {by_start:.2f} km/s at its start and {by_step:.2f} in its step",
            path=file.path,
            field="CRVAL1",
            remedy="check that it is a GALAH spectrum",
        )
    return by_start


def _oxygen(barycentric: Array, motion: float) -> NDArray[np.bool_]:
    """Where oxygen absorbs; wider by what the Earth may move where the motion is unknown."""
    margin = MOST / C_KMS * OXYGEN[1] if np.isnan(motion) else 0.0
    seen = barycentric * (1.0 - np.nan_to_num(motion) / C_KMS)
    return np.asarray((seen > OXYGEN[0] - margin) & (seen < OXYGEN[1] + margin))


def _same_length(file: FitsFile, *arrays: Array) -> None:
    if len({len(array) for array in arrays}) != 1:
        raise DataError(
            "its HDUs differ in length", path=file.path, remedy="check that it is a GALAH spectrum"
        )
