"""Stage C, second half: morphs given labels, and densities beside them."""

from collections.abc import Mapping

import torch
from torch import Tensor

from synth2obs.models.alignment.learn import GRID, Learner, Pupil
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import EncodedStars
from synth2obs.models.fit.lessons import encoded_stars
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State
from synth2obs.training.theory_errors import grid_latents


class MorphStage(StageBase):
    """Teach p_d(u) and T_d from encoded stars; see `models.alignment.learn.Learner`."""

    name = "morph"

    def __init__(self, state: State, config: AlignmentConfig) -> None:
        super().__init__(state)
        self.steps = config.steps
        self.latents: dict[str, tuple[Tensor, Tensor]] = {}
        bridge = state.bridge
        surveys = {name: bridge.survey(name) for name in bridge.surveys}
        pupils = {name: Pupil(model.morph, model.density) for name, model in surveys.items()}
        self.learner = Learner(pupils, config, None if state.theory_held else bridge.density)
        self.optimizer = self.learner.optimizer

    def extra(self) -> dict[str, Tensor]:
        """Encoded stars: so that a resume need not encode again."""
        return {
            f"{n}/{k}": t for n, pair in self.latents.items() for k, t in zip(("u", "p"), pair, strict=True)
        }

    def load_extra(self, tensors: Mapping[str, Tensor]) -> None:
        """Put encoded stars back."""
        names = {key.rsplit("/", 1)[0] for key in tensors}
        self.latents = {name: (tensors[f"{name}/u"], tensors[f"{name}/p"]) for name in names}

    def step(self, index: int) -> dict[str, float]:
        """One Adam step over all surveys."""
        if not self.latents:
            self._encode()
        stars = {name: self._stars(name) for name in self.state.bridge.surveys}
        return self.learner.step(index, stars, self.generator(index), self.latents[GRID][0])

    def _stars(self, name: str) -> EncodedStars:
        source = self.state.bridge.theory_latents(name, self.state.stars[name].x).detach()
        return EncodedStars(source, *self.latents[name])

    @torch.no_grad()
    def _encode(self) -> None:
        bridge = self.state.bridge
        latents = grid_latents(self.state)[self.state.kept].double()
        self.latents = {GRID: (latents, torch.zeros(0, dtype=torch.float64))}
        if not self.state.theory_held:
            bridge.density.start(latents)
        for name in bridge.surveys:
            _, *encoded = encoded_stars(bridge, self.state.seen[name], self.state.stars[name].x)
            self.latents[name] = (encoded[0], encoded[1])
            bridge.survey(name).density.start(encoded[0])
