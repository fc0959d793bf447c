"""What noise alone leaves of a residual: below it no model can come."""

import torch
from torch import Tensor

from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import Fit


def noise_variance(seen: Observation, fit: Fit) -> Tensor:
    """Mean variance of each star's good pixels by quoted errors, in units of the continuum squared, shape (N,)."""
    good = fit.ivar > 0
    variance = 1.0 / (seen.ivar * fit.continuum.square())
    return variance.masked_fill(~good, 0.0).sum(1) / good.sum(1).clamp(min=1)


def noise_floor(seen: Observation, fit: Fit, factor: float) -> dict[str, float]:
    """Rms (median over stars) that noise alone leaves: by quoted errors, and by those times the survey's fitted factor.

    Args:
        seen, fit: Stars and their fit.
        factor: Fitted over quoted noise.
    """
    if not len(seen):
        return {"quoted": float("nan"), "fitted": float("nan")}
    quoted = float(torch.sqrt(noise_variance(seen, fit)).median())
    return {"quoted": quoted, "fitted": quoted * factor}
