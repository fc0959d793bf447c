"""How unlikely a survey's spectra are by a bridge, with their labels fitted anew: what held-out stars say of a part."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.core.robust import middle
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels

EARNED, SURE = 1e-3, 2.0
"""Fall of −ln likelihood per pixel on held-out stars, and its errors, beyond which a part has earned its place."""

TINY = 1e-9
"""Least error of a label: one that is held has none."""


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


def gained(before: LabelFit, after: LabelFit) -> tuple[float, float]:
    """Fall of −ln likelihood per pixel from one fit of some stars to another, median over the stars, and its error."""
    gain, error = middle((surprise(before) - surprise(after)).numpy())
    return float(gain), float(error)


def earns(gain: float, error: float) -> bool:
    """Whether a part with such a gain has earned its place."""
    return gain - SURE * error > EARNED


def in_errors(one: LabelFit, other: LabelFit, fit: LabelFit, columns: list[int]) -> NDArray[np.float64]:
    """Labels of one fit less those of another of the same stars, in the errors of a third, (N, columns)."""
    own = fit.covariance.diagonal(dim1=1, dim2=2).sqrt()[:, columns].clamp(min=TINY)
    return np.asarray(((one.x - other.x)[:, columns] / own).numpy())
