"""How unlikely a survey's spectra are by a bridge, with their labels fitted anew: what held-out stars say of a part."""

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels


@torch.no_grad()
def fitted_anew(bridge: Bridge, seen: Observation) -> LabelFit:
    """Labels of stars that have taught a bridge nothing, looked for from scratch."""
    return fit_labels(bridge, seen, Options(steps=5, refresh=1))


def surprise(fit: LabelFit) -> Tensor:
    """(χ² − Σ ln weight) / 2 per pixel of every star, shape (N,): −ln likelihood, noise included."""
    weight = (fit.ivar * fit.continuum.square()).log().where(fit.ivar > 0, 0.0).sum(1)
    return 0.5 * (fit.chi2 - weight) / fit.pixels.clamp(min=1)
