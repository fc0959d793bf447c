"""Stage D: the gap in closed form, alternating with labels through the morph and the gap found so far."""

import copy
from typing import NamedTuple

import numpy as np
import torch

from synth2obs.core.robust import middle
from synth2obs.models.fit.features import choose_features
from synth2obs.models.fit.label_slopes import shifted_columns
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.refine import ROUND, learn_gap
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.surprise import earns, fitted_anew, gained, in_errors
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.survey import make_morph
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.common_gap import share
from synth2obs.training.stages.labels import remember
from synth2obs.training.state import State

MOVED = 0.1
"""Shift of all stars' labels, in the error of a star's, up to which it stays."""


class GapStage(StageBase):
    """One step: labels of one survey's training stars given its gap, then its gap given their labels.

    Before a survey's first, its morph has to earn its place: where the gap alone makes validation stars as likely, or
    the morph shifts the labels of all stars, it is the identity from then on. What lies in the span of the label
    gradients could be either, so that no spectrum speaks for such a shift. So have the gap's features, see
    `models.fit.features`. With ``gap.common`` a last step tells what all surveys have in common.
    """

    name = "gap"

    def __init__(self, state: State, config: GapConfig) -> None:
        super().__init__(state)
        self.rounds = config.iterations * len(state.bridge.surveys)
        self.steps = self.rounds + int(config.common and len(state.bridge.surveys) > 1)

    def step(self, index: int) -> dict[str, float]:
        """One round of one survey."""
        names = self.state.bridge.surveys
        if index == self.rounds:
            return share(self.state)
        name = names[index % len(names)]
        found = self._round(name) if index >= len(names) else self._first(name)
        return found.metrics | remember(self.state, name, found.fit)

    @torch.no_grad()
    def _round(self, name: str, held: Observation | None = None) -> "_Round":
        """Labels, then the gap, which may first ask validation stars how many of its features they speak for."""
        stars, bridge, seen = self.state.stars[name], self.state.bridge, self.state.seen[name]
        fit = fit_labels(bridge, seen, ROUND, stars.x, stars.rv)
        told: dict[str, float] = {}
        if held is not None and bridge.survey(name).gap.config.gated:
            told |= choose_features(bridge, seen, fit, held)
        posterior = learn_gap(bridge, seen, fit)
        told["log_evidence_gain"] = float((posterior.log_evidence - posterior.log_evidence_null).mean())
        return _Round(fit, {f"{name}/{key}": value for key, value in told.items()})

    def _first(self, name: str) -> "_Round":
        """The first round, in which what was not asked for by validation stars goes; without such stars all stays."""
        if not len(self.state.domains.surveys[name].rows("validation")):
            return self._round(name)
        model, held = self.state.bridge.survey(name), self.state.prepare(name, "validation")
        may_go = model.config.morph.gated and bool(model.morph.state_dict())
        return self._earned(name, held) if may_go else self._round(name, held)

    @torch.no_grad()
    def _earned(self, name: str, held: Observation) -> "_Round":
        """With the survey's morph if it earns its place, else with the identity."""
        model = self.state.bridge.survey(name)
        before = copy.deepcopy(model.state_dict())
        with_morph, by_morph = self._round(name, held), fitted_anew(self.state.bridge, held)
        kept = copy.deepcopy(model.state_dict())
        model.load_state_dict(before)
        model.morph.load_state_dict(make_morph(model.config.latent, model.config.morph).state_dict())
        alone, by_identity = self._round(name, held), fitted_anew(self.state.bridge, held)
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
    gain, error = gained(by_identity, by_morph)
    moved, _ = middle(in_errors(by_morph, by_identity, by_identity, columns))
    shift = float(np.abs(moved).max(initial=0.0))
    kept = earns(gain, error) and shift <= MOVED
    return {"morph_gain": gain, "morph_gain_error": error, "morph_shift": shift, "morph_kept": float(kept)}


class _Round(NamedTuple):
    """What a round found."""

    fit: LabelFit
    metrics: dict[str, float]
