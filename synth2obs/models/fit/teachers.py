"""Which stars may teach what belongs to a survey."""

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import Fit, LabelFit
from synth2obs.models.priors.labels import STELLAR

FEWEST = 8
"""Stars below which those outside the grid teach, too: a survey of such stars has no others."""


def typical(fit: Fit, limit: float) -> Tensor:
    """Stars whose χ² per pixel is below a multiple of the median: binaries and errors must not shape a gap."""
    chi2 = fit.chi2_per_pixel
    return (chi2 < limit * chi2.nanmedian()) & torch.isfinite(chi2)


def inside(bridge: Bridge, x: Tensor) -> Tensor:
    """Scaled labels (N, K) with Teff, log g and [Fe/H] in the grid's range, shape (N,)."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    return torch.from_numpy(~bridge.labels.outside(bridge.scale.inverse(x).numpy())[:, columns].any(1))


def teachers(bridge: Bridge, fit: LabelFit, limit: float) -> Tensor:
    """Stars that may shape a gap, its scatter and the noise, shape (N,): `typical`, and fitted `inside` the grid.

    A star that theory cannot reach ends at the grid's edge, and what is left of it is no error of theory: hot stars
    would widen the scatter in Balmer lines until these lines have no weight.
    """
    usual = typical(fit, limit)
    chosen = usual & inside(bridge, fit.x)
    return chosen if int(chosen.sum()) >= FEWEST else usual
