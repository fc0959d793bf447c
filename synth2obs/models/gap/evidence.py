"""What one survey's stars say of its gap, cell by cell: all that a gap shared with other surveys needs of them."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from synth2obs.core.shapes import shaped


@shaped
class GapEvidence(NamedTuple):
    r"""Sufficient statistics of residuals :math:`r = \Phi G(\lambda) + \epsilon`, float64.

    Args:
        curvature: :math:`\Phi^T W \Phi`, shape (L, F, F); 0 where no star has a pixel.
        moment: :math:`\Phi^T W r`, shape (L, F).
        prior_variance: Of the survey's gap alone, as `posterior.gap_posterior` learns it, shape (F, L).
    """

    curvature: Float64[Tensor, "cells features features"]
    moment: Float64[Tensor, "cells features"]
    prior_variance: Float64[Tensor, "features cells"]

    @property
    def seen(self) -> Tensor:
        """Cells of which any star tells something, shape (L,)."""
        return self.curvature.diagonal(dim1=1, dim2=2).sum(1) > 0


@shaped
def gap_evidence(
    residual: Float[Tensor, "stars cells"],
    ivar: Float[Tensor, "stars cells"],
    features: Float[Tensor, "stars features"],
    scatter: Float[Tensor, " cells"],
    prior_variance: Float[Tensor, "features cells"],
) -> GapEvidence:
    """Sums over stars.

    Args:
        residual: Observed minus predicted flux without a gap, in units of the continuum.
        ivar: Inverse variance; 0 makes a cell of a star an exact no-op, whatever its residual.
        features: Standardised to order unity, in units that all surveys share.
        scatter: Intrinsic variance beside it, as the survey's own gap found it.
        prior_variance: See `GapEvidence`.
    """
    phi, known = features.double(), ivar.double()
    weight = known / (1.0 + known * scatter.double())
    left = torch.where(known > 0, residual.double(), 0.0)
    outer = (phi[:, :, None] * phi[:, None, :]).flatten(1)
    curvature = (weight.T @ outer).unflatten(1, (phi.shape[1], phi.shape[1]))
    return GapEvidence(curvature, (weight * left).T @ phi, prior_variance.double())
