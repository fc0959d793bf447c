"""The prior's width of one part of a gap, by type-II maximum likelihood, as `posterior.gap_posterior` learns it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.gap.posterior import TINY, GapConfig, smooth

FEWEST = 1e-12
"""Well determined coefficients in a window below which a width stays as it is."""


@shaped
class Width(NamedTuple):
    """Variance of a prior, ``scale`` times the ``local`` weights of a Student t."""

    scale: Float64[Tensor, "features cells"]
    local: Float64[Tensor, "features cells"]

    @classmethod
    def of(cls, variance: Float64[Tensor, "features cells"]) -> "Width":
        """A normal prior, to begin with."""
        return cls(variance, torch.ones_like(variance))

    @property
    def variance(self) -> Float64[Tensor, "features cells"]:
        """Shape (F, L)."""
        return self.scale * self.local


@shaped
def learned_width(
    mean: Float64[Tensor, "features cells"],
    variance: Float64[Tensor, "features cells"],
    width: Width,
    prior: GapConfig,
    cells: Bool[Tensor, " cells"],
) -> Width:
    """One fixed-point step (MacKay 1992, Neural Computation 4, 415) from a posterior's mean and variance.

    Args:
        mean, variance: Of the coefficients.
        width: Which led to these.
        prior: Window and tails.
        cells: Those that take part; the others keep their width.
    """
    scale, before = width.scale.clamp(min=TINY), width.variance
    used = (1.0 - variance / before.clamp(min=TINY)).clamp(0.0, 1.0) * cells
    local = (prior.tails + (mean.square() + variance) / scale) / (prior.tails + 1.0)
    total = smooth(used, prior.window)
    learned = smooth(cells * mean.square() / local, prior.window) / total.clamp(min=FEWEST)
    change = cells & (total > FEWEST) & (before > 0)
    return Width(torch.where(change, learned, width.scale), torch.where(change, local, width.local))
