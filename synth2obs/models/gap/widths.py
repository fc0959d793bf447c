"""The prior's width of one part of a gap, by type-II maximum likelihood, as `posterior.gap_posterior` learns it."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.gap.posterior import TINY, GapConfig, smooth

FEWEST = 1e-12
"""Well determined coefficients in a window below which a width stays as it is."""


PULL = 0.1
"""Of a coefficient in every cell, by which a survey's width is drawn to that of all surveys."""


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
class Told(NamedTuple):
    """What a posterior says of a prior's width: means over a window of cells.

    Args:
        square: Of squared coefficients, local weights taken out.
        used: Of the share of a coefficient that data determine, 0 to 1.
        local: The weights.
    """

    square: Float64[Tensor, "features cells"]
    used: Float64[Tensor, "features cells"]
    local: Float64[Tensor, "features cells"]


@shaped
def told_of_width(
    mean: Float64[Tensor, "features cells"],
    variance: Float64[Tensor, "features cells"],
    width: Width,
    prior: GapConfig,
    cells: Bool[Tensor, " cells"],
) -> Told:
    """Sums of one part of a gap.

    Args:
        mean, variance: Posterior of the coefficients.
        width: Which led to it.
        prior: Window and tails.
        cells: Those that take part.
    """
    scale, before = width.scale.clamp(min=TINY), width.variance
    used = (1.0 - variance / before.clamp(min=TINY)).clamp(0.0, 1.0) * cells
    local = (prior.tails + (mean.square() + variance) / scale) / (prior.tails + 1.0)
    square = cells * mean.square() / local
    return Told(smooth(square, prior.window), smooth(used, prior.window), local)


@shaped
def learned_width(
    told: Told,
    width: Width,
    cells: Bool[Tensor, " cells"],
    usual: Float64[Tensor, "features cells"] | None = None,
) -> Width:
    """One fixed-point step (MacKay 1992, Neural Computation 4, 415).

    Args:
        told: By the posterior to which ``width`` led.
        width: What is learned; a feature that has none keeps none.
        cells: Those that take part; the others keep their width.
        usual: Scale about which it is drawn, as if `PULL` of a coefficient in every cell were determined and like
            that: without it the width of what few stars hardly determine falls to nothing.
    """
    square, used = told.square, told.used
    if usual is not None:
        square, used = square + PULL * usual, used + PULL
    change = cells & (used > FEWEST) & (width.variance > 0)
    learned = square / used.clamp(min=FEWEST)
    return Width(torch.where(change, learned, width.scale), torch.where(change, told.local, width.local))
