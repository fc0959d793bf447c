"""Stage C, first half: labels of the training stars by plain theory, and the noise that theory leaves."""

from dataclasses import replace

from pydantic import Field

from synth2obs.core.config import Section
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import ROUND, learn_weights, rms, teachers
from synth2obs.models.fit.result import LabelFit, StarLabels
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State


class LabelsConfig(Section):
    """Stage C, first half: labels of the training stars by theory, and the noise theory leaves."""

    iterations: int = Field(default=1, ge=1, description="rounds of labels and scatter after the first")


class LabelsStage(StageBase):
    """Alternate fits of labels by theory with the scatter that they leave; one survey a step."""

    name = "labels"

    def __init__(self, state: State, config: LabelsConfig) -> None:
        super().__init__(state)
        self.steps = (1 + config.iterations) * len(state.bridge.surveys)

    def step(self, index: int) -> dict[str, float]:
        """One fit of one survey: from two starts at first, from the last labels afterwards."""
        bridge = self.state.bridge
        round_, place = divmod(index, len(bridge.surveys))
        name = bridge.surveys[place]
        seen, stars = self.state.seen[name], self.state.stars[name]
        if round_ == 0:
            fit = fit_labels(bridge, seen, Options(steps=8, refresh=1, scatter=False, morphed=False))
        else:
            fit = fit_labels(bridge, seen, replace(ROUND, morphed=False), stars.x, stars.rv)
        rows = teachers(bridge, fit, bridge.survey(name).gap.config.outlier).nonzero()[:, 0]
        noise = learn_weights(bridge, seen, fit, rows)
        return {f"{name}/noise_{key}": value for key, value in noise.items()} | remember(
            self.state, name, fit
        )


def remember(state: State, name: str, fit: LabelFit) -> dict[str, float]:
    """Keep a survey's labels and velocities; metrics of the fit."""
    chi2 = fit.chi2_per_pixel
    state.stars[name] = StarLabels(fit.x, fit.rv, chi2)
    return {
        f"{name}/free_rms": rms(fit).median().item(),
        f"{name}/chi2_per_pixel": chi2.median().item(),
        f"{name}/rv_median": fit.rv.median().item(),
    }
