"""Stage D: the gap in closed form, alternating with labels through the morph and the gap found so far."""

from synth2obs.models.fit.refine import refine_gap
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.labels import remember
from synth2obs.training.state import State


class GapStage(StageBase):
    """One step: labels of one survey's training stars given its gap, then its gap given their labels."""

    name = "gap"

    def __init__(self, state: State, config: GapConfig) -> None:
        super().__init__(state)
        self.steps = config.iterations * len(state.bridge.surveys)

    def step(self, index: int) -> dict[str, float]:
        """One round of one survey."""
        bridge = self.state.bridge
        name = bridge.surveys[index % len(bridge.surveys)]
        stars = self.state.stars[name]
        fit, posterior = refine_gap(bridge, self.state.seen[name], stars.x, stars.rv)
        gain = float((posterior.log_evidence - posterior.log_evidence_null).mean())
        return {f"{name}/log_evidence_gain": gain} | remember(self.state, name, fit)
