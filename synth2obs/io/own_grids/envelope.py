r"""A running upper envelope in place of a continuum that a grid does not come with.

In every window of width w in ln λ the level is a high quantile of the flux; between the windows' centres it is linear.
Passes after the first take the quantile of flux over level, which removes what the slope inside a window added:

.. math:: c_{k+1}(x) = c_k(x) \, \mathrm{interp}_j\, q_j\!\left[f / c_k\right].

This is not the continuum: where lines crowd over a whole window (cool stars, bands of molecules, the wings of strong
lines) the envelope is below it, and it depends on the labels. A fit's own continuum takes up what is smooth of that.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.description import Envelope

Array = NDArray[np.float64]

PASSES = 3
FEWEST = 5
"""Samples of a window; of fewer a quantile says nothing."""


def over_envelope(flux: Array, wavelength: Array, settings: Envelope, path: Path) -> Array:
    """Flux over its upper envelope.

    Args:
        flux: Positive or zero, shape (B, L).
        wavelength: Å, increasing, shape (L,).
        settings: Window and quantile.
        path: For messages.

    Raises:
        DataError: If a window has fewer than five samples or no light.
    """
    x = np.log(wavelength)
    windows = _windows(x, settings.window, path)
    for _ in range(PASSES):
        flux = flux / _level(flux, x, windows, settings, path)
    return flux


def _windows(x: Array, width: float, path: Path) -> list[slice]:
    """Stretches of equal width in ln λ, at least one."""
    count = max(1, round((x[-1] - x[0]) / width))
    edges = np.searchsorted(x, np.linspace(x[0], x[-1], count + 1))
    edges[-1] = len(x)
    windows = [slice(first, last) for first, last in zip(edges[:-1], edges[1:], strict=True)]
    fewest = min(window.stop - window.start for window in windows)
    if fewest < FEWEST:
        raise DataError(
            f"a window has {fewest} samples", path=path, field="normalize.window", remedy="make it wider"
        )
    return windows


def _level(flux: Array, x: Array, windows: list[slice], settings: Envelope, path: Path) -> Array:
    """The envelope of each spectrum, shape (B, L); straight on beyond the outermost centres."""
    levels = np.stack([np.quantile(flux[:, w], settings.quantile, axis=1) for w in windows], axis=1)
    if not (levels > 0).all():
        raise DataError(
            "has no light in a window",
            path=path,
            field="flux",
            remedy="narrow the bands, or normalise it yourself",
        )
    centres = np.array([x[window].mean() for window in windows])
    if len(windows) == 1:
        return np.broadcast_to(levels, flux.shape)
    place = np.clip(np.searchsorted(centres, x) - 1, 0, len(centres) - 2)
    share = np.clip((x - centres[place]) / np.diff(centres)[place], -0.5, 1.5)
    level = levels[:, place] * (1 - share) + levels[:, place + 1] * share
    return np.maximum(level, 0.5 * levels[:, place])
