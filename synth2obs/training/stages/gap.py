"""Stage D: the gap in closed form, alternating with labels through the morph and the gap found so far."""

import copy
from typing import NamedTuple

import numpy as np
import torch

from synth2obs.core.robust import middle
from synth2obs.models.fit.features import choose_features
from synth2obs.models.fit.label_slopes import shifted_columns
from synth2obs.models.fit.refine import ROUND, learn_gap
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.surprise import EARNED, SURE, fitted_anew, surprise
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.survey import make_morph
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.labels import remember
from synth2obs.training.state import State

MOVED = 0.1
"""Shift of all stars' labels, in the error of a star's, up to which it stays."""

TINY = 1e-9


class GapStage(StageBase):
    """One step: labels of one survey's training stars given its gap, then its gap given their labels.

    Before a survey's first, its morph has to earn its place: where the gap alone makes validation stars as likely, or
    the morph shifts the labels of all stars, it is the identity from then on. What lies in the span of the label
    gradients could be either, so that no spectrum speaks for such a shift. So have the gap's features, see
    `models.fit.features`.
    """

    name = "gap"

    def __init__(self, state: State, config: GapConfig) -> None:
        super().__init__(state)
        self.steps = config.iterations * len(state.bridge.surveys)

    def step(self, index: int) -> dict[str, float]:
        """One round of one survey."""
        names = self.state.bridge.surveys
        name = names[index % len(names)]
        found = self._round(name) if index >= len(names) else self._earned(name)
        return found.metrics | remember(self.state, name, found.fit)

    @torch.no_grad()
    def _round(self, name: str, first: bool = False) -> "_Round":
        stars, bridge, seen = self.state.stars[name], self.state.bridge, self.state.seen[name]
        fit = fit_labels(bridge, seen, ROUND, stars.x, stars.rv)
        told = self._afforded(name, fit) if first else {}
        posterior = learn_gap(bridge, seen, fit)
        told["log_evidence_gain"] = float((posterior.log_evidence - posterior.log_evidence_null).mean())
        return _Round(fit, {f"{name}/{key}": value for key, value in told.items()})

    def _afforded(self, name: str, fit: LabelFit) -> dict[str, float]:
        """Let the survey's gap have the features that validation stars speak for."""
        if not (self.state.bridge.survey(name).gap.config.gated and self._validates(name)):
            return {}
        held = self.state.prepare(name, "validation")
        return choose_features(self.state.bridge, self.state.seen[name], fit, held)

    def _validates(self, name: str) -> bool:
        return len(self.state.domains.surveys[name].rows("validation")) > 0

    @torch.no_grad()
    def _earned(self, name: str) -> "_Round":
        """The first round, with the survey's morph if it earns its place, else with the identity."""
        model = self.state.bridge.survey(name)
        learned = copy.deepcopy(model.morph.state_dict())
        if not (model.config.morph.gated and learned and self._validates(name)):
            return self._round(name, first=True)
        before, held = copy.deepcopy(model.state_dict()), self.state.prepare(name, "validation")
        with_morph, by_morph = self._round(name, first=True), fitted_anew(self.state.bridge, held)
        kept = copy.deepcopy(model.state_dict())
        model.load_state_dict(before)
        model.morph.load_state_dict(make_morph(model.config.latent, model.config.morph).state_dict())
        alone, by_identity = self._round(name, first=True), fitted_anew(self.state.bridge, held)
        told = judged(by_morph, by_identity, list(shifted_columns(self.state.bridge).values()))
        if told["morph_kept"]:
            model.load_state_dict(kept)
        chosen = with_morph if told["morph_kept"] else alone
        return chosen._replace(metrics=chosen.metrics | {f"{name}/{key}": told[key] for key in told})


def judged(by_morph: LabelFit, by_identity: LabelFit, columns: list[int]) -> dict[str, float]:
    """Whether a morph stays, and why.

    Args:
        by_morph, by_identity: The same validation stars by a gap with the morph, and by a gap alone.
        columns: Labels that the morph must leave alone.

    Returns:
        ``morph_gain`` and its error: fall of −ln likelihood per pixel; ``morph_shift``: how far the morph moves the
        labels of all stars, at most, in the error of a star's label; ``morph_kept``.
    """
    gain, error = map(float, middle((surprise(by_identity) - surprise(by_morph)).numpy()))
    own = by_identity.covariance.diagonal(dim1=1, dim2=2).sqrt()[:, columns]
    moved, _ = middle(((by_morph.x - by_identity.x)[:, columns] / own.clamp(min=TINY)).numpy())
    shift = float(np.abs(moved).max(initial=0.0))
    kept = gain - SURE * error > EARNED and shift <= MOVED
    return {"morph_gain": gain, "morph_gain_error": error, "morph_shift": shift, "morph_kept": float(kept)}


class _Round(NamedTuple):
    """What a round found."""

    fit: LabelFit
    metrics: dict[str, float]
