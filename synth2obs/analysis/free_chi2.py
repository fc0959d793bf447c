"""χ² of held-out spectra with labels fitted: whether the morph explains stars whose labels nobody knows."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.baselines import MORPH
from synth2obs.analysis.bootstrap import over_stars
from synth2obs.analysis.trials import Tested
from synth2obs.models.fit.result import Fit

Floats = NDArray[np.float64]


def free_chi2(tested: Tested) -> dict[str, Any]:
    """χ² per pixel by method, labels fitted, and the morph's beside each on the same stars.

    All methods count with the same variance of every pixel: the survey's noise and what the morph leaves.

    Returns:
        ``free_chi2`` and ``free_chi2_error``, medians over stars and their errors by bootstrap, by method; and
        ``free_chi2_ratio.<method>``, ``value`` and ``error`` of the median over stars of the morph's χ² over the
        method's. Empty without a star.
    """
    if not len(tested.seen):
        return {}
    like = tested.trials[MORPH].free
    chi2 = {method: chi2_like(trial.free, like).numpy() for method, trial in tested.trials.items()}
    scores = {method: over_stars(_median_of(values), len(values)) for method, values in chi2.items()}
    return {
        "free_chi2": {method: score.value for method, score in scores.items()},
        "free_chi2_error": {method: score.error for method, score in scores.items()},
        "free_chi2_ratio": {
            method: _ratio(chi2[MORPH], values) for method, values in chi2.items() if method != MORPH
        },
    }


def chi2_like(fit: Fit, like: Fit) -> Tensor:
    """χ² per pixel of a fit's residuals with the variance, in units of the continuum, of another's, shape (N,)."""
    weight = torch.where(fit.ivar > 0, like.ivar * like.continuum.square(), 0.0)
    return (fit.residual.square() * weight).sum(1) / (weight > 0).sum(1).clamp(min=1)


def _ratio(morph: Floats, other: Floats) -> dict[str, float]:
    score = over_stars(_median_of(morph / np.maximum(other, 1e-30)), len(morph))
    return {"value": score.value, "error": score.error}


def _median_of(values: Floats) -> Any:
    return lambda rows: float(np.median(values[rows]))
