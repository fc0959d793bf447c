"""APOGEE apVisit files: one visit on native pixels, three detectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys import apogee_lsf
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_file import FitsFile
from synth2obs.io.surveys.record import Record, constant_resolution, shifted, weigh

Array = NDArray[np.floating[Any]]

VISIT_PIXELS = 4096
LIMITS = (15_000.0, 17_100.0)
"""Å. No detector sees anything outside."""

FASTEST_EARTH = 35.0
"""km/s. An observatory moves at most 30.3 + 0.5 km/s towards a star."""


def visit_record(file: FitsFile, lsf: str, resolving_power: float | None, bad: int) -> Record:
    """The spectrum of an apVisit file, barycentric, blue detector first.

    The file has vacuum wavelengths in the observatory's frame, red to blue. They are shifted by the card BC.

    Args:
        file: Open apVisit file.
        lsf: ``hermite``, ``kernel`` or ``auto`` (kernel).
        resolving_power: λ / FWHM of a Gaussian instead, or None.
        bad: Bits that make a pixel bad.

    Raises:
        DataError: If wavelengths or the barycentric correction are missing or impossible.
    """
    cards, native = file.cards(), file.image(4, 2)
    flux, ivar, bits = _fluxes(file, native, bad)
    _check(file, native)
    motion = _barycentric_correction(file)
    return Record(
        id=f"{cards.text('OBJID')}/{cards.text('PLATE')}-{cards.text('MJD5')}-{cards.text('FIBERID')}",
        wavelength=shifted(native.ravel()[::-1], motion),
        segment=np.repeat(np.arange(3, dtype=np.int16), VISIT_PIXELS),
        flux=flux[::-1],
        ivar=ivar[::-1],
        flags=bits[::-1].copy(),
        line_spread=_line_spread(file, native, lsf, resolving_power),
        rv=cards.optional("VHELIO"),
        rv_error=abs(cards.optional("VRADERR")),
        native={**_facts(cards, motion), "lsf": "file" if resolving_power is None else "given"},
        frame="barycentric",
        flux_kind="absolute",
        air_formula="",
    )


def _fluxes(file: FitsFile, native: Array, bad: int) -> tuple[Array, Array, NDArray[np.uint32]]:
    """Flux, inverse variance and bits of all pixels in the order of the file."""
    flux, error, bits = file.image(1, 2), file.image(2, 2), file.bits(3, 2)
    if not flux.shape == error.shape == bits.shape == native.shape:
        raise DataError(
            "its images differ in shape",
            path=file.path,
            remedy="check that it is an apVisit file of a release",
        )
    return *weigh(flux.ravel(), error.ravel(), (bits.ravel() & bad) > 0), bits.ravel()


def _facts(cards: Cards, motion: float) -> dict[str, float | str]:
    return {
        "object": cards.text("OBJID"),
        "rv": cards.optional("VHELIO"),
        "barycentric_correction": motion,
        "mjd": cards.optional("JD-MID") - 2_400_000.5,
        "fibre": cards.optional("FIBERID"),
        "snr": cards.optional("SNR"),
        "starflag": cards.optional("STARFLAG"),
    }


def _check(file: FitsFile, wavelength: Array) -> None:
    inside = np.isfinite(wavelength).all() and LIMITS[0] < wavelength.min() < wavelength.max() < LIMITS[1]
    if not inside or not (np.diff(wavelength.ravel()) < 0).all():
        raise DataError(
            f"wavelengths must fall from red to blue within {LIMITS[0]:.0f} to {LIMITS[1]:.0f} Å",
            path=file.path,
            field="HDU 4",
            remedy="check that it is an apVisit file of a release",
        )


def _barycentric_correction(file: FitsFile) -> float:
    motion = file.cards().number("BC")
    if abs(motion) > FASTEST_EARTH:
        raise DataError(
            f"is {motion} km/s, faster than the Earth", path=file.path, field="BC", remedy="repair the header"
        )
    return motion


def _line_spread(file: FitsFile, wavelength: Array, lsf: str, resolving_power: float | None) -> LineSpread:
    """Line spread at the pixels in the order of the record: blue to red."""
    if resolving_power is not None:
        return constant_resolution(wavelength.ravel()[::-1], resolving_power)
    coefficients = file.image(10, 2)
    pixels = np.arange(VISIT_PIXELS, dtype=float)
    parts = []
    for row, detector in zip(coefficients, wavelength, strict=True):
        profile, dispersion = apogee_lsf.decode(row), np.gradient(detector)
        if lsf == "hermite":
            parts.append(apogee_lsf.gauss_hermite(profile, pixels, dispersion)[0])
        else:
            parts.append(apogee_lsf.tabulated(profile, pixels, dispersion))
    return LineSpread.of_detectors(parts).cut(slice(None, None, -1))
