"""How unlikely a survey's spectra are by a bridge, with their labels fitted anew: what held-out stars say of a part."""

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels

EARNED, SURE = 1e-3, 2.0
"""Fall of −ln likelihood per pixel on held-out stars, and its errors, beyond which a part has earned its place."""


@torch.no_grad()
def fitted_anew(bridge: Bridge, seen: Observation, start: LabelFit | None = None) -> LabelFit:
    """Labels of stars that have taught a bridge nothing, from another fit on, or looked for from scratch."""
    options = Options(steps=5, refresh=1)
    if start is None:
        return fit_labels(bridge, seen, options)
    return fit_labels(bridge, seen, options, start.x, start.rv)


def surprise(fit: LabelFit) -> Tensor:
    """(χ² − Σ ln weight) / 2 per pixel of every star, shape (N,): −ln likelihood, noise included."""
    weight = (fit.ivar * fit.continuum.square()).log().where(fit.ivar > 0, 0.0).sum(1)
    return 0.5 * (fit.chi2 - weight) / fit.pixels.clamp(min=1)
