"""Scores of a method on held-out stars of known labels: what it explains of the gap, and what it makes of labels."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.analysis.entrants import Answer
from synth2obs.analysis.proof.statistics import scatter, share
from synth2obs.analysis.proof.truth import Truth
from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

Floats = NDArray[np.float64]


def true_labels(bridge: Bridge, truth: Truth) -> tuple[Tensor, Tensor]:
    """Scaled labels (N, K) and velocities in km/s (N,) of the held-out stars."""
    names = list(truth.label_names)
    table = truth.held_labels[:, [names.index(name) for name in bridge.labels.names]]
    return bridge.scale(torch.as_tensor(table)), torch.as_tensor(truth.held_rv)


def excess(seen: Observation, fit: LabelFit, noise: float) -> Floats:
    """χ² beyond what noise leaves in a fit, over the pixels, of every star, shape (N,).

    Args:
        seen: Stars.
        fit: With the survey's noise alone.
        noise: Noise over the noise that is stated.
    """
    free = seen.continuum_basis.shape[-1] + 1
    pixels = fit.pixels.numpy().astype(float)
    return np.asarray((fit.chi2.numpy() / noise**2 - (pixels - free)) / pixels)


def gap_explained(theory: Floats, method: Floats, spectrum: NDArray[np.integer], draws: int) -> Score:
    """Share of theory's excess χ² (N,) that a method's does not have; 1 is all of the gap, below 0 a worse fit."""
    return bootstrap(lambda rows: float(1.0 - method[rows].sum() / theory[rows].sum()), spectrum, draws)


def label_scores(answer: Answer, truth: Truth, draws: int) -> dict[str, Score]:
    """Bias, robust scatter, and share of pulls within 1 σ of Teff, log g and [Fe/H]; errors over distinct spectra."""
    names = list(truth.label_names)
    known = truth.held_labels[:, [names.index(name) for name in STELLAR]]
    difference = answer.labels - known
    pull = np.abs(difference / np.maximum(answer.errors, 1e-30))
    scores: dict[str, Score] = {}
    for column, name in enumerate(STELLAR):
        values, inside = difference[:, column], pull[:, column] < 1.0
        scores |= {
            f"{name}_bias": _of(values, _median, truth, draws),
            f"{name}_scatter": _of(values, scatter, truth, draws),
            f"{name}_pull": share(inside, truth.held_spectrum, draws),
        }
    return scores


def _of(values: Floats, statistic: Callable[[Floats], float], truth: Truth, draws: int) -> Score:
    return bootstrap(lambda rows: float(statistic(values[rows])), truth.held_spectrum, draws)


def _median(values: Floats) -> float:
    return float(np.median(values))
