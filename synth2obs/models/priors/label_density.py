"""The labels of a survey's stars as they are, not as they are measured: a density with the errors taken out."""

import copy
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.alignment.settings import DensityConfig

STEPS, RATE, LOOKS = 200, 0.02, 10
"""Adam steps, learning rate of the first, and steps between two looks at the stars that validate."""

VALIDATES = 5
"""Every so manyth star validates."""

GAUSSIAN, FLOW = DensityConfig(layers=0), DensityConfig(layers=4)


class LearnedDensity(NamedTuple):
    """A density of scaled labels, and why it is what it is.

    Args:
        density: A flow, or a normal distribution where stars that validate do not speak for more.
        gain: Mean ln p(spectrum) of stars that validate by a flow, less that by a normal distribution.
        gain_error: Its standard error; a flow has to gain more.
    """

    density: FlowDensity
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
    density: FlowDensity, draws: Float64[Tensor, "stars draws labels"]
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


def _taught(config: DensityConfig, train: Tensor, held: Tensor, seed: int) -> FlowDensity:
    """Adam from a normal distribution of the draws; what the stars that validate like best is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        density = FlowDensity(train.shape[-1], config).double()
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
