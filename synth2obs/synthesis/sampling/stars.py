"""Teff and log g of stars to compute: the stellar-evolution prior, with the rare kinds of star made less rare."""

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.evolution import Evolution

Array = NDArray[np.float64]
BLUR = np.diag([150.0**2, 0.2**2])
"""Added to every component, K and dex: isochrones are wrong by less, and nothing real may lie outside."""

GIANT = 3.6
"""log g below which a star counts as a giant."""

TEMPER = 0.6
"""Power of the shares of components: bright giants and hot stars are rare, and have to be learned all the same."""

LEAST = 1e-300
"""Share that no component falls below, so that shares far from all components can be normalised."""


def draw_stars(evolution: Evolution, fe_h: Array, uniform: Array, giants: float) -> Array:
    """Teff in K and log g of stars, shape (N, 2).

    Args:
        evolution: Where stars are.
        fe_h: dex, shape (N,).
        uniform: Numbers in (0, 1), shape (N, 3): for the component, and one for each label.
        giants: Share of stars in components whose mean log g is below `GIANT`.
    """
    shares = _balanced(evolution.shares(fe_h) + LEAST, evolution.mean[:, 1] < GIANT, giants)
    return evolution.draw(fe_h, shares, uniform, BLUR)


def _balanced(share: Array, giant: NDArray[np.bool_], giants: float) -> Array:
    """Shares that sum to one, with as many giants as asked for."""
    tempered = share**TEMPER
    parts = [tempered * kind for kind in (giant, ~giant)]
    low, high = (part / part.sum(axis=1, keepdims=True) for part in parts)
    return giants * low + (1.0 - giants) * high
