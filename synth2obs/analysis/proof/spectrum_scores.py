"""Scores of predicted spectra: at true labels, where labels did not look, and as a classifier sees them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.bootstrap import Score
from synth2obs.analysis.entrants import Entrant
from synth2obs.analysis.proof.star_scores import excess, gap_explained, true_labels
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.two_sample import told_from_stars
from synth2obs.analysis.proof.unseen import unseen_excess
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """What a method leaves of held-out stars.

    Args:
        fit: Labels free.
        left: χ² beyond the noise over the pixels, labels held at the truth, shape (N,).
        unseen: The same where labels did not look, at these labels, shape (N,).
    """

    fit: LabelFit
    left: Floats
    unseen: Floats


def explained(entrant: Entrant, seen: Observation, fit: LabelFit, held: LabelFit, truth: Truth) -> Explained:
    """What a method leaves of held-out stars.

    Args:
        entrant: A method that has spectra.
        seen: The stars.
        fit: Labels free.
        held: Labels held at the truth.
        truth: About them.
    """
    return Explained(fit, excess(seen, held, truth.noise), unseen_excess(entrant, seen, fit, truth.noise))


def spectrum_scores(
    bridge: Bridge,
    entrant: Entrant,
    seen: Observation,
    found: Explained,
    theory: Explained,
    truth: Truth,
    draws: int,
) -> dict[str, Score]:
    """``gap_explained``, ``held_wavelengths``, ``c2st``, and ``cycle_error`` where there is a way back.

    Args:
        bridge: Whose labels are meant.
        entrant: A method that has spectra.
        seen: Held-out stars.
        found, theory: What it leaves of them, and what plain theory leaves.
        truth: About them.
        draws: Bootstrap samples.
    """
    groups = truth.held_spectrum
    scores = {
        "gap_explained": gap_explained(theory.left, found.left, groups, draws),
        "held_wavelengths": gap_explained(theory.unseen, found.unseen, groups, draws),
        "c2st": told_from_stars(entrant, seen, found.fit, groups, truth.noise, draws),
    }
    back = entrant.cycle_error(true_labels(bridge, truth)[0])
    return scores if back is None else {**scores, "cycle_error": Score(back)}
