"""One-dimensional FITS images with a linear wavelength axis, as older libraries publish their spectra."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra_rules import SHORTEST
from synth2obs.io.surveys.cards import REPAIR, Cards
from synth2obs.io.surveys.fits_file import open_fits

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearImage:
    """A native spectrum: its header, wavelengths as the file states them (Å) and flux, shape (P,) each."""

    path: Path
    cards: Cards
    wavelength: Array
    flux: Array


@contextmanager
def linear_image(
    path: Path, limits: tuple[float, float], steps: tuple[float, float]
) -> Iterator[LinearImage]:
    """Open the primary image of a FITS file with the wavelengths of its header.

    Args:
        path: The file.
        limits: Å within which every spectrum of the library lies.
        steps: Å within which the distance of its pixels lies.

    Raises:
        DataError: If it is missing, not FITS, truncated, not one-dimensional, lacks a wavelength card, or has
            wavelengths beyond the limits.
    """
    with open_fits(path) as file:
        flux = file.image(0, 1)
        axis = linear_axis(file.cards(), len(flux))
        if len(axis) and not limits[0] <= axis[0] <= axis[-1] <= limits[1]:
            raise DataError(
                f"wavelengths {axis[0]:.1f} to {axis[-1]:.1f} Å are not within {limits[0]:g} to {limits[1]:g} Å",
                path=path,
                field="CRVAL1",
                remedy=REPAIR,
            )
        step = file.cards().number("CDELT1")
        if not steps[0] <= step <= steps[1]:
            raise DataError(
                f"is {step} Å, not within {steps[0]:g} to {steps[1]:g} Å",
                path=path,
                field="CDELT1",
                remedy=REPAIR,
            )
        yield LinearImage(path, file.cards(), axis, flux)


def linear_axis(cards: Cards, pixels: int) -> Array:
    """Wavelengths CRVAL1 + CDELT1 (i + 1 - CRPIX1) in Å, in the file's own medium, shape (P,).

    Raises:
        DataError: If a card is missing, or the wavelengths do not increase from 2000 Å on.
    """
    start, step = cards.number("CRVAL1"), cards.number("CDELT1")
    first = cards.get("CRPIX1")
    first = 1.0 if first is None else first
    valid = isinstance(first, (int, float)) and np.isfinite(first) and step > 0
    if not valid or start + step * (1.0 - first) < SHORTEST:
        raise DataError(
            f"CRVAL1 = {start}, CDELT1 = {step}, CRPIX1 = {first!r} are no increasing wavelengths in Å",
            path=cards.path,
            field="CRVAL1",
            remedy=REPAIR,
        )
    return start + step * (np.arange(pixels, dtype=np.float64) + (1.0 - float(first)))


def blank_bad(flux: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Flux with bad pixels (not finite, zero, negative) set to 0, and where they are, any shape."""
    bad = ~(np.isfinite(flux) & (np.nan_to_num(flux) > 0))
    return np.where(bad, 0.0, flux), bad
