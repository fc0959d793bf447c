r"""Whether a spectrum's lines are as wide as its survey's, from a fit alone: a score test that fits nothing anew.

Rotation, a second star, and a line spread of the spectrum's own all make lines wider. With d the change of the model m
by a survey's σ that is `WIDER` times its own, and r what the fit leaves,

.. math:: a = d^T W r / d^T W d , \qquad z = d^T W r / \sqrt{d^T W d} ,

a is how much of that change r holds, to first order, and z how significant that is. Labels and continuum at their best
leave nothing along their own changes, so that a is a lower limit: what they have taken is not in r any more.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import spectra_of

WIDER = 1.2
"""Factor on the survey's σ to which the model is compared."""


class Excess(NamedTuple):
    """What lines are wider than the survey's, for each star."""

    variance: Tensor  # (N,) in units of the survey's σ², negative where lines are narrower
    significance: Tensor  # (N,) in its errors


@torch.no_grad()
def excess_width(bridge: Bridge, seen: Observation, fit: LabelFit, options: Options) -> Excess:
    """How much wider the lines of spectra are than those of a fit.

    Args:
        bridge: Trained.
        seen: The spectra.
        fit: Of these.
        options: With which it was made.
    """
    wider, reached = spectra_of(bridge, seen, fit, replace(options, width=WIDER * options.width))
    change = (wider - fit.spectrum) * reached
    weight = fit.ivar * fit.continuum.square()
    pulled = (weight * change * fit.residual).sum(1)
    power = (weight * change.square()).sum(1).clamp(min=1e-30)
    return Excess((WIDER**2 - 1.0) * pulled / power, pulled / power.sqrt())
