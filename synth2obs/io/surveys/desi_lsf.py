"""Line spreads of DESI: rows of the resolution matrix (Guy et al. 2023, AJ 165, 144)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.line_spread import LineSpread

Array = NDArray[np.floating[Any]]

STEP = 0.8
"""Å a pixel."""

DIAGONALS = 11

WHOLE = 0.995
"""Sum of a response in units of the middle one, below which pixels beside it were masked and some of it is missing."""


def responses(diagonals: Array) -> Array:
    """Response of each pixel to light at offsets of -5 to 5 samples, from the stored diagonals.

    Entry (k, j) of the stored matrix is row j - (5 - k), column j: what the pixel there sees of sample j.
    A pixel without a response, or beside masked pixels, where some of it is missing, has that of the nearest pixel
    with a whole one.

    Args:
        diagonals: Shape (11, P).

    Returns:
        Shape (P, 11).
    """
    pixels, half = diagonals.shape[1], DIAGONALS // 2
    result = np.zeros((pixels, DIAGONALS))
    for entry, offset in enumerate(range(-half, half + 1)):
        column = np.arange(pixels) + offset
        inside = (column >= 0) & (column < pixels)
        result[inside, entry] = diagonals[half - offset, column[inside]]
    total = np.where(np.isfinite(result).all(axis=1), result.sum(axis=1), 0.0)
    usual = np.median(total[total > 0.5]) if (total > 0.5).any() else 1.0
    good = np.nonzero(total > max(WHOLE * usual, 0.5))[0]
    if not len(good):
        return np.tile((np.arange(DIAGONALS) == half).astype(float), (pixels, 1))
    after = np.searchsorted(good, np.arange(pixels)).clip(1, max(len(good) - 1, 1))
    before, after = good[after - 1], good[after.clip(0, len(good) - 1)]
    closer = np.abs(np.arange(pixels) - before) <= np.abs(np.arange(pixels) - after)
    return result[np.where(closer, before, after)]


def line_spread(kernel: Array, form: str) -> LineSpread:
    """σ without the pixel, and the table: sharpened, because it will be read as linear between its entries.

    The matrix acts on means over samples of 0.8 Å, a box of variance h²/12; linear interpolation adds h²/6.
    Taking away 1/24 of the second difference takes h²/12 from the variance.
    """
    offset = STEP * (np.arange(DIAGONALS) - DIAGONALS // 2)
    weight = kernel / kernel.sum(axis=1, keepdims=True)
    mean = weight @ offset
    variance = (weight * (offset - mean[:, None]) ** 2).sum(axis=1)
    sigma = np.sqrt(np.maximum(variance, (0.3 * STEP) ** 2))
    if form == "gaussian":
        return LineSpread.single(sigma)
    wide = np.pad(kernel, ((0, 0), (2, 2)))
    second = wide[:, 2:] - 2.0 * wide[:, 1:-1] + wide[:, :-2]
    return LineSpread.single(
        sigma,
        kernel=wide[:, 1:-1] - second / 24.0,
        offset=STEP * (np.arange(DIAGONALS + 2) - (DIAGONALS + 2) // 2),
    )
