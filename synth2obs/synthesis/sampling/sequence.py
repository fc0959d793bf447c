"""Low-discrepancy numbers that fill a cube evenly, however many are taken."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import qmc

Array = NDArray[np.float64]


def sobol(count: int, dimensions: int, seed: int, start: int = 0) -> Array:
    """Points ``start`` to ``start + count`` of a scrambled Sobol sequence in (0, 1), shape (count, dimensions)."""
    sampler = qmc.Sobol(dimensions, scramble=True, rng=seed)
    if start:
        sampler.fast_forward(start)
    points: Array = sampler.random(count)
    return np.clip(points, 1e-9, 1.0 - 1e-9)
