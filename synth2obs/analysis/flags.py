"""Bits that say what to beware of in a result."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from synth2obs.models.fit.result import Fit

OUTSIDE, POOR_FIT, FEW_PIXELS, UNSETTLED, LIMIT, UNUSUAL, FAR = 1, 2, 4, 8, 16, 32, 64
RIVAL, OPEN, WIDTH = 128, 256, 512
FLAGS = {
    OUTSIDE: "label outside the grid",
    POOR_FIT: "poor fit",
    FEW_PIXELS: "few good pixels",
    UNSETTLED: "no convergence",
    LIMIT: "vsini, or the line spread's scale, is a limit",
    UNUSUAL: "latent beyond 99 % of the grid",
    FAR: "labels further from the grid's spectra than 99 % of these",
    RIVAL: "another kind of star does as well, or theory alone says so",
    OPEN: "Teff, log g or [Fe/H] not constrained",
    WIDTH: "lines wider or narrower than the survey's: rotation, a second star, or another line spread",
}
"""Bits of ``flags``."""

UNUSABLE = POOR_FIT | FEW_PIXELS
"""Bits of stars that a model does not describe."""

POOR, FEW, WINDOW = 2.0, 0.5, 0.1
"""χ² per pixel, share of a spectrum's pixels that are good, and share of its survey's, that set a bit."""

DARK = 1e-3
"""Continuum, in units of the spectrum's median flux, that is none."""


def meaning() -> dict[str, str]:
    """Bits and what they mean, as meta of a table."""
    return {str(bit): text for bit, text in FLAGS.items()}


def in_words(flags: NDArray[np.int64]) -> str:
    """How many stars have each bit, e.g. ``2 × label outside the grid``; empty if none has any."""
    return ", ".join(f"{count} × {FLAGS[bit]}" for bit, count in counted(flags).items())


def counted(flags: NDArray[np.int64]) -> dict[int, int]:
    """How many stars have each bit, of the bits that any has."""
    counts = {bit: int((flags & bit > 0).sum()) for bit in FLAGS}
    return {bit: count for bit, count in counts.items() if count}


def quality(fit: "Fit", usual: int) -> NDArray[np.int64]:
    """The bits of `FLAGS` that say how well a model describes a spectrum, shape (N,).

    A continuum takes any sign: a spectrum whose own is not positive is no star's, however well it fits.

    Args:
        fit: Of the spectra.
        usual: Pixels of the survey.
    """
    pixels = fit.pixels.numpy()
    bright = ((fit.continuum > DARK) & (fit.ivar > 0)).sum(1).numpy()
    poor = (fit.chi2.numpy() > POOR * np.maximum(pixels, 1)) | (bright < FEW * pixels)
    few = pixels < np.maximum(FEW * fit.residual.shape[1], WINDOW * usual)
    return poor * np.int64(POOR_FIT) + few * np.int64(FEW_PIXELS)
