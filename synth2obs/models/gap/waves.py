"""Covariances of a gap wave by wave: where nothing changes over a line spread, smoothing only weakens each wave."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.gap.smoothing import Smoothing

NODES = 6
"""Wavenumbers over which a covariance is averaged."""


class Wave(NamedTuple):
    """A wavenumber in radians per reference cell, and its weight in a mean over all."""

    wavenumber: Tensor  # (L,)
    weight: Tensor  # (L,)


@shaped
def in_band(density: Float64[Tensor, " cells"]) -> Sequence[Wave]:
    """Waves that cells of some density (cells to a reference cell, at most 1) tell apart; weights sum to 1.

    Smoothed spectra have long waves, so that nodes are those of Gauss in the root of the wavenumber.
    """
    top = math.pi * density.clamp(max=1.0)
    return [Wave(top * u**2, torch.full_like(top, 2.0 * u * w)) for u, w in _gauss()]


@shaped
def beyond(density: Float64[Tensor, " cells"]) -> Sequence[Wave]:
    """Shorter waves, which such cells cannot tell from longer ones; weights are shares of all reference waves."""
    free = 1.0 - density.clamp(max=1.0)
    if not bool((free > 1e-9).any()):
        return []
    return [Wave(math.pi * (1.0 - free + free * u), free * w) for u, w in _gauss()]


def _gauss() -> Iterator[tuple[float, float]]:
    at, weight = np.polynomial.legendre.leggauss(NODES)
    # Rounded to no more than float64 holds, weights of 2 u w sum to 1.
    yield from zip((0.5 * (at + 1.0)).tolist(), (0.5 * weight).tolist(), strict=True)


@shaped
def covariance_of_wave(
    smoothings: Mapping[str, Smoothing],
    info: Mapping[str, Float64[Tensor, "places features features"]],
    variance: Float64[Tensor, "features places"],
    wave: Wave,
    cells: Tensor | None = None,
) -> Float64[Tensor, "cells features features"]:
    """Posterior covariance of one wave of the common gap, (T⁻¹ + Σ ℓ² M)⁻¹.

    Args:
        smoothings, info: Of surveys: information about what each sees, for a reference cell.
        variance: Of the prior, T.
        wave: In the cells that are wanted.
        cells: Reference cells that are wanted; all if None.
    """
    rows = torch.arange(variance.shape[1]) if cells is None else cells
    tau = variance.T.sqrt()[rows]
    precision = torch.eye(tau.shape[1], dtype=tau.dtype).expand(len(rows), -1, -1).clone()
    for name, each in smoothings.items():
        kept = each.kept(wave.wavenumber, each.back[rows]).square()[:, None, None]
        precision += kept * (tau[:, :, None] * info[name][rows] * tau[:, None, :])
    found = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    return tau[:, :, None] * found * tau[:, None, :]
