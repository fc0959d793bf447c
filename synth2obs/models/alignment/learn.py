"""The one way in which morphs and densities are taught: in training, for baselines and on placebo."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import Alignment, Density, EncodedStars

FLOOR = 0.3
"""Error in latent units added to each star's own: theory's latents are not better known than that."""

CLIP = 10.0
"""Largest norm of the gradient of all parameters together."""

GRID = "grid"


class Pupil(NamedTuple):
    """What is taught of one survey; a density of None is left out."""

    morph: Alignment
    density: Density | None = None


@shaped
class Learner:
    r"""Adam over the morphs and densities of all surveys, and over the density of the grid.

    .. math:: \sum_d \Big[ L_d(T_d) - \tfrac1D \langle \ln p_d(u) \rangle \Big]
              - \tfrac1D \langle \ln p_\mathrm{grid}(u) \rangle

    with the loss L of each morph's own class. Matching the two clouds of latents instead of L would move mean labels by
    the difference of the populations.

    Args:
        pupils: By survey.
        config: Steps, rate and weights.
        grid: Density of the grid's latents; None leaves it out.
    """

    def __init__(
        self, pupils: Mapping[str, Pupil], config: AlignmentConfig, grid: Density | None = None
    ) -> None:
        self.pupils, self.config, self.grid = pupils, config, grid
        flows = [grid, *(part for pupil in pupils.values() for part in pupil)]
        parameters = [p for flow in flows if flow is not None for p in flow.parameters()]
        self.optimizer = torch.optim.Adam(parameters, lr=config.learning_rate) if parameters else None

    def step(
        self,
        index: int,
        stars: Mapping[str, EncodedStars],
        random: torch.Generator,
        grid: Float[Tensor, "stars latents"] | None = None,
    ) -> dict[str, float]:
        """One step, and its unweighted terms by survey.

        Args:
            index: From 0; sets the learning rate.
            stars: Training stars of every pupil.
            random: Where the probes come from.
            grid: Latents of the grid, shape (N, D), if its density is taught.
        """
        lessons = {name: self._lesson(name, stars[name], random) for name in self.pupils}
        loss = sum((total for total, _ in lessons.values()), torch.zeros((), dtype=torch.float64))
        metrics: dict[str, float] = {}
        if self.grid is not None and grid is not None:
            surprise = -self.grid.log_prob(grid).mean()
            loss, metrics = surprise / grid.shape[1] + loss, {f"{GRID}/nll": surprise.item()}
        self._descend(index, loss)
        for name, (_, terms) in lessons.items():
            metrics |= {f"{name}/{key}": value.item() for key, value in terms.items()}
        return {"loss": loss.item()} | metrics

    def _lesson(
        self, name: str, stars: EncodedStars, random: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        morph, density = self.pupils[name]
        probes = torch.randn((1, *stars.source.shape), generator=random, dtype=stars.source.dtype)
        total, terms = morph.loss(stars, probes)
        if density is None:
            return total, {**terms, "total": total}
        nll = -density.log_prob(stars.latent).mean() / stars.latent.shape[1]
        return total + nll, {**terms, "nll": nll, "total": total + nll}

    def _descend(self, index: int, loss: Tensor) -> None:
        if self.optimizer is None:
            return
        set_cosine_rate(self.optimizer, self.config.learning_rate, index, self.config.steps)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.optimizer.param_groups[0]["params"], CLIP)
        self.optimizer.step()


def teach(morph: Alignment, stars: EncodedStars, config: AlignmentConfig, random: torch.Generator) -> None:
    """All steps for one morph alone."""
    learner = Learner({"stars": Pupil(morph)}, config)
    with torch.enable_grad():
        for index in range(config.steps if learner.optimizer else 0):
            learner.step(index, {"stars": stars}, random)


def set_cosine_rate(optimizer: torch.optim.Optimizer, rate: float, index: int, steps: int) -> None:
    """Learning rate of a step: from ``rate`` to zero on half a cosine."""
    for group in optimizer.param_groups:
        group["lr"] = rate * 0.5 * (1.0 + torch.cos(torch.tensor(math.pi * index / steps)).item())


@shaped
def precision_of(
    covariance: Float[Tensor, "stars latents latents"],
) -> Float[Tensor, "stars latents latents"]:
    """Inverse of encoded covariances after adding `FLOOR`, shape (N, D, D)."""
    eye = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
    return torch.cholesky_inverse(torch.linalg.cholesky(covariance + FLOOR**2 * eye))
