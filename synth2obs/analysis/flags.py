"""Bits that say what to beware of in a result."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from synth2obs.models.fit.result import Fit

OUTSIDE, POOR_FIT, FEW_PIXELS, UNSETTLED, LIMIT, UNUSUAL, FAR = 1, 2, 4, 8, 16, 32, 64
RIVAL, OPEN = 128, 256
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
}
"""Bits of ``flags``."""

UNUSABLE = POOR_FIT | FEW_PIXELS
"""Bits of stars that a model does not describe."""

POOR, FEW = 2.0, 0.5
"""χ² per pixel, and share of good pixels, that set a bit."""


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


def quality(fit: "Fit") -> NDArray[np.int64]:
    """The bits of `FLAGS` that say how well a model describes a spectrum, shape (N,)."""
    pixels = fit.pixels.numpy()
    poor = fit.chi2.numpy() > POOR * np.maximum(pixels, 1)
    few = pixels < FEW * fit.residual.shape[1]
    return poor * np.int64(POOR_FIT) + few * np.int64(FEW_PIXELS)
