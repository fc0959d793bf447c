"""Errors that are marks of bad pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

HUGE_ERROR = 1e9
"""Errors of this size, in the units of the files, are the surveys' way to say that a pixel is bad."""

WORTHLESS = 1e3
"""Factor on a flux whose level nears `HUGE_ERROR` itself, beyond which errors are such marks."""


def huge_error(level: Floats) -> Floats:
    """From which error on a pixel is bad in spectra of some level.

    It is 1e9, as surveys have it; so much of the flux where units make the flux small; and 1000 times the flux where
    they make it large.
    """
    return np.minimum(HUGE_ERROR * level, np.maximum(HUGE_ERROR, WORTHLESS * level))


def marked_bad(flux: Floats, error: Floats) -> NDArray[np.bool_]:
    """Where the error only says that a pixel is bad.

    Args:
        flux, error: Shape (N, P); an error that is not finite and positive marks a bad pixel, too.
    """
    with np.errstate(invalid="ignore"):
        known = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        usual = known & ((error < HUGE_ERROR) | (error < WORTHLESS * np.abs(flux)))
    usual = np.where(usual.any(axis=1, keepdims=True), usual, known)
    return ~known | (error >= huge_error(levels(flux, usual)))


def levels(flux: Floats, good: NDArray[np.bool_]) -> Floats:
    """Median absolute flux of the good pixels of each star, shape (N, 1); 1 where that is not above 0."""
    found = np.ones((len(flux), 1))
    for row, (values, kept) in enumerate(zip(flux, good, strict=True)):
        level = np.median(np.abs(values[kept], dtype=np.float64)) if kept.any() else 1.0
        found[row] = level if level > 0 else 1.0
    return found
