"""Typical spectra of a survey: drawn from the density of its latents."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.flags import UNUSUAL
from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.per_star import velocities, whole
from synth2obs.analysis.seen import refuse_too_many, seen_by
from synth2obs.models.bridge import Bridge

BEYOND = 2.3263
"""Standard normal quantile of 99 %: draws further out than that share of the grid are flagged."""


@torch.no_grad()
def generated(bridge: Bridge, survey: str, count: int, seed: int = 0, rv: ArrayLike = 0.0) -> Morphed:
    """Spectra as they are typical of a survey's stars; nobody's spectra, and without labels.

    Latents u are drawn from the survey's density p_d(u), which was learned from the latents encoded from its training
    stars; decoder and gap make spectra of them, without noise. The result's ``latent`` is theory's, T⁻¹(u).

    Args:
        bridge: Trained.
        survey: One of its surveys.
        count: How many.
        seed: Of the draws: the same seed and count give the same spectra.
        rv: km/s, positive receding, one value or one per spectrum.

    Raises:
        DataError: If ``count`` or ``seed`` is no whole number in range, or for a velocity that is not usable.
        ModelError: For an unknown survey.
    """
    model = bridge.survey(survey)
    count, seed = whole("count", count, 1), whole("seed", seed, 0)
    refuse_too_many(len(model.wavelength), count, "ask for fewer, with other seeds")
    velocity = velocities(rv, count)
    drawn = model.density.sample(count, torch.Generator().manual_seed(seed))
    latent = model.morph.inverse(drawn)[0]
    return seen_by(
        bridge, survey, latent, latent, velocity, unusual(latent) * np.int64(UNUSUAL), ((),) * count
    )


def unusual(latent: Tensor) -> NDArray[np.bool_]:
    """Whether theory's latents lie further from 0 than 99 % of N(0, I), the grid's population.

    The squared distance has a χ² distribution with D degrees of freedom, whose quantile is that of Wilson & Hilferty
    (1931, PNAS 17, 684), right to 0.2 % for D ≥ 4.

    Args:
        latent: Shape (N, D).

    Returns:
        Shape (N,).
    """
    size = latent.shape[1]
    spread = 2.0 / (9.0 * size)
    limit = size * (1.0 - spread + BEYOND * math.sqrt(spread)) ** 3
    return (latent.square().sum(1) > limit).numpy()
