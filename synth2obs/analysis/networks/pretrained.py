"""From pixels to labels by a multilayer perceptron that is taught on the grid alone.

Such networks are usually trained on many spectra and tuned on a few stars of another survey (Zhao et al. 2026,
arXiv:2602.15021). Without a star's label there is nothing to tune on: what is left is to train on theory with the
noise, masks, velocities and continua of the survey's spectra.
"""

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from synth2obs.analysis.entrants import Answer
from synth2obs.analysis.networks.contract import Network
from synth2obs.analysis.networks.lessons import Lessons, Pixels
from synth2obs.core.config import Section
from synth2obs.core.labels import STELLAR
from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

LOOKS = 512
"""Spectra from which mean and spread of every pixel are taken."""

FARTHEST = 5.0
"""Standard deviations that a pixel counts at most."""

DECAY = 1e-2
"""Decay of weights, per unit of the learning rate."""


class PretrainedConfig(Section):
    """Settings of the perceptron."""

    name: Literal["pretrained"] = "pretrained"
    steps: int = Field(default=400, ge=0, description="optimisation steps; 0 leaves it out")
    batch: int = Field(default=64, ge=1, description="spectra of the grid a step")
    hidden: int = Field(default=256, ge=1, description="width of its first hidden layer; the second has half")
    learning_rate: float = Field(default=1e-3, gt=0, description="of AdamW, falling to zero on a cosine")


class PretrainedNetwork(Network):
    """Mean and variance of all labels, given normalised pixels; see `Network` for the arguments."""

    Config: ClassVar[Any] = PretrainedConfig

    def __init__(self, lessons: Lessons, config: Any = None, seed: int = 0) -> None:
        self.config: PretrainedConfig = config or PretrainedConfig()
        self.bridge, self.normalise = lessons.bridge, lessons.normalise
        random = torch.Generator().manual_seed(seed)
        rows = lessons.rows(LOOKS, random)
        look = lessons.synthetic(rows, random, noise=True).flux
        self.mean, self.spread = look.mean(0), look.std(0).clamp(min=1e-3)
        pixels, labels, hidden = look.shape[1], lessons.theory.x.shape[1], self.config.hidden
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.layers = nn.Sequential(
                nn.Linear(pixels, hidden),
                nn.SiLU(),
                nn.Linear(hidden, max(1, hidden // 2)),
                nn.SiLU(),
                nn.Linear(max(1, hidden // 2), 2 * labels),
            )
        self._learn(lessons, random)

    def _learn(self, lessons: Lessons, random: torch.Generator) -> None:
        config = self.config
        optimizer = torch.optim.AdamW(self.layers.parameters(), lr=config.learning_rate, weight_decay=DECAY)
        for index in range(config.steps):
            rows = lessons.rows(config.batch, random)
            seen = lessons.synthetic(rows, random, noise=True)
            with torch.enable_grad():
                mean, variance = self._labels(seen)
                loss = nn.functional.gaussian_nll_loss(mean, lessons.theory.x[rows].float(), variance)
                set_cosine_rate(optimizer, config.learning_rate, index, config.steps)
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()

    def _labels(self, seen: Pixels) -> tuple[Tensor, Tensor]:
        """Mean and variance of scaled labels, shape (N, K) each; a masked pixel says nothing."""
        far = ((seen.flux - self.mean) / self.spread).clamp(-FARTHEST, FARTHEST)
        mean, log = self.layers(torch.where(seen.ivar > 0, far, 0.0)).chunk(2, dim=1)
        return mean, log.clamp(-12.0, 4.0).exp()

    @torch.no_grad()
    def answer(self, seen: Observation, start: LabelFit | None = None) -> Answer:
        """As `Entrant` says; there is nothing to start from."""
        mean, variance = (part.double() for part in self._labels(self.normalise(seen.flux, seen.ivar)))
        columns = [self.bridge.labels.index(name) for name in STELLAR]
        errors = variance.sqrt() * self.bridge.scale.slope(mean).abs()
        return Answer(self.bridge.scale.inverse(mean)[:, columns].numpy(), errors[:, columns].numpy())
