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
    # The sequence is balanced in blocks of a power of two, and warns about any other number.
    points: Array = sampler.random_base2((count - 1).bit_length()) if not start else sampler.random(count)
    return np.clip(points[:count], 1e-9, 1.0 - 1e-9)
