"""Stage D: the gap in closed form, alternating with labels through the morph and the gap found so far."""

import copy
import math
from typing import NamedTuple

import torch

from synth2obs.core.constants import MAD_TO_SIGMA, MEDIAN_ERROR
from synth2obs.models.fit.refine import refine_gap
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.surprise import surprise
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.survey import make_morph
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.labels import remember
from synth2obs.training.state import State

EARNED, SURE = 1e-3, 2.0
"""Fall of −ln likelihood per pixel on validation stars beyond which a morph stays beside a gap, and its errors."""


class GapStage(StageBase):
    """One step: labels of one survey's training stars given its gap, then its gap given their labels.

    Before a survey's first, its morph has to earn its place: where the gap alone makes validation stars as likely, the
    morph is the identity from then on. What lies in the span of the label gradients could be either, and a morph moves
    labels.
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
    def _round(self, name: str) -> "_Round":
        stars, bridge = self.state.stars[name], self.state.bridge
        fit, posterior = refine_gap(bridge, self.state.seen[name], stars.x, stars.rv)
        gain = float((posterior.log_evidence - posterior.log_evidence_null).mean())
        return _Round(fit, {f"{name}/log_evidence_gain": gain})

    @torch.no_grad()
    def _earned(self, name: str) -> "_Round":
        """The first round, with the survey's morph if validation stars ask for it, else with the identity."""
        model, survey = self.state.bridge.survey(name), self.state.domains.surveys[name]
        learned = copy.deepcopy(model.morph.state_dict())
        if not (model.config.morph.gated and learned and len(survey.rows("validation"))):
            return self._round(name)
        before, held = copy.deepcopy(model.state_dict()), self.state.prepare(name, "validation")
        with_morph, by_morph = self._round(name), surprise(self.state.bridge, held)
        kept = copy.deepcopy(model.state_dict())
        model.load_state_dict(before)
        model.morph.load_state_dict(make_morph(model.config.latent, model.config.morph).state_dict())
        alone, by_identity = self._round(name), surprise(self.state.bridge, held)
        gain, error = _middle(by_identity - by_morph)
        earns = gain - SURE * error > EARNED
        if earns:
            model.load_state_dict(kept)
        chosen = with_morph if earns else alone
        told = {"morph_gain": gain, "morph_gain_error": error, "morph_kept": float(earns)}
        return chosen._replace(metrics=chosen.metrics | {f"{name}/{key}": told[key] for key in told})


def _middle(values: torch.Tensor) -> tuple[float, float]:
    """Median over stars and its error; infinite with a single star."""
    middle = values.median()
    spread = MAD_TO_SIGMA * float((values - middle).abs().median())
    return float(middle), MEDIAN_ERROR * spread / len(values) ** 0.5 if len(values) > 1 else math.inf


class _Round(NamedTuple):
    """What a round found."""

    fit: LabelFit
    metrics: dict[str, float]
