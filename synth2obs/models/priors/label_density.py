"""The labels of a survey's stars as they are, not as they are measured: a density with the errors taken out."""

import copy
import math
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.alignment.settings import DensityConfig

STEPS, RATE, LOOKS = 200, 0.01, 10
"""Adam steps, learning rate of the first, and steps between two looks at the stars that validate."""

VALIDATES = 5
"""Every so manyth star validates."""

SHARE, WIDER = 0.01, 2.0
"""Of the wide normal distribution, and its width over that of the draws."""

GAUSSIAN, FLOW = DensityConfig(layers=0), DensityConfig(layers=4, max_log_scale=0.5)


@shaped
class SafeDensity(nn.Module):
    """A flow, and a small share of a wide normal distribution: a star unlike all that taught it is not impossible.

    Args:
        size: Number of labels.
        config: Of the flow.
    """

    centre: Tensor
    factor: Tensor

    def __init__(self, size: int, config: DensityConfig) -> None:
        super().__init__()
        self.config, self.flow = config, FlowDensity(size, config).double()
        self.register_buffer("centre", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("factor", torch.eye(size, dtype=torch.float64))

    @torch.no_grad()
    def start(self, x: Float64[Tensor, "draws labels"]) -> None:
        """Both at the moments of a sample."""
        self.flow.start(x)
        self.centre.copy_(x.mean(0))
        self.factor.copy_(WIDER * torch.linalg.cholesky(torch.cov(x.T)))

    def log_prob(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, " stars"]:
        """Ln density per scaled label."""
        wide = MultivariateNormal(self.centre, scale_tril=self.factor).log_prob(x)
        return torch.logaddexp(math.log1p(-SHARE) + self.flow.log_prob(x), math.log(SHARE) + wide)

    @torch.no_grad()
    def sample(self, count: int, random: torch.Generator) -> Float64[Tensor, "stars labels"]:
        """Draws."""
        drawn = self.flow.sample(count, random)
        wide = torch.rand(count, generator=random, dtype=torch.float64) < SHARE
        normal = torch.randn(drawn.shape, generator=random, dtype=torch.float64)
        return torch.where(wide[:, None], self.centre + normal @ self.factor.T, drawn)


class LearnedDensity(NamedTuple):
    """A density of scaled labels, and why it is what it is.

    Args:
        density: A flow, or a normal distribution where stars that validate do not speak for more.
        gain: Mean ln p(spectrum) of stars that validate by a flow, less that by a normal distribution.
        gain_error: Its standard error; a flow has to gain more.
    """

    density: SafeDensity
    gain: float
    gain_error: float


@shaped
def drawn(
    x: Float64[Tensor, "stars labels"],
    covariance: Float64[Tensor, "stars labels labels"],
    count: int,
    random: torch.Generator,
) -> Float64[Tensor, "stars draws labels"]:
    """Draws of normal posteriors."""
    values, vectors = torch.linalg.eigh(covariance)
    factor = vectors * values.clamp(min=0).sqrt()[:, None, :]
    normal = torch.randn(len(x), count, x.shape[1], generator=random, dtype=torch.float64)
    return x[:, None] + normal @ factor.mT


@shaped
def log_evidence(
    density: SafeDensity, draws: Float64[Tensor, "stars draws labels"]
) -> Float64[Tensor, " stars"]:
    r"""Ln of :math:`\int p(\mathrm{spectrum}_n|x) \pi(x) dx` up to a constant of each star.

    By draws x_s of posteriors under a flat prior it is the mean of π(x_s) (Hogg, Myers & Bovy 2010, ApJ 725, 2166,
    equation 9).
    """
    return density.log_prob(draws.flatten(0, 1)).view(draws.shape[:2]).logsumexp(1)


@shaped
def learn_density(draws: Float64[Tensor, "stars draws labels"], seed: int = 0) -> LearnedDensity:
    """The density π that makes all spectra most probable, by those stars that validate.

    Args:
        draws: From posteriors under a flat prior, of at least 2 · `VALIDATES` stars.
        seed: Of the flow's first weights.
    """
    validate = torch.arange(len(draws)) % VALIDATES == 0
    train, held = draws[~validate], draws[validate]
    normal, flow = (_taught(config, train, held, seed) for config in (GAUSSIAN, FLOW))
    with torch.no_grad():
        gain = log_evidence(flow, held) - log_evidence(normal, held)
    mean, error = float(gain.mean()), float(gain.std() / len(gain) ** 0.5)
    return LearnedDensity(flow if mean > error else normal, mean, error)


def _taught(config: DensityConfig, train: Tensor, held: Tensor, seed: int) -> SafeDensity:
    """Adam from a normal distribution of the draws; what the stars that validate like best is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        density = SafeDensity(train.shape[-1], config)
    density.start(train.flatten(0, 1))
    optimizer, best = torch.optim.Adam(density.parameters(), lr=RATE), -torch.inf
    kept = copy.deepcopy(density.state_dict())
    for step in range(STEPS + 1):
        if step % LOOKS == 0:
            with torch.no_grad():
                found = float(log_evidence(density, held).mean())
            if found > best:
                best, kept = found, copy.deepcopy(density.state_dict())
        set_cosine_rate(optimizer, RATE, step, STEPS)
        optimizer.zero_grad()
        with torch.enable_grad():
            (-log_evidence(density, train).mean()).backward()
        optimizer.step()
    density.load_state_dict(kept)
    return density
