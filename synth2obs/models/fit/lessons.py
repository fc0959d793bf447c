"""What a morph is taught from."""

import torch
from torch import Tensor

from synth2obs.models.alignment.learn import precision_of
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import EncodedStars
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.task import encode


@torch.no_grad()
def encoded_stars(bridge: Bridge, seen: Observation, x: Tensor) -> EncodedStars:
    """Stars as their spectra place them in the latent space, and as their scaled labels (N, K) do."""
    fit = encode(bridge, seen)
    return EncodedStars(bridge.theory_latents(seen.survey, x), fit.u, precision_of(fit.covariance))
