"""What the library does, one small function for each benchmark: the only file that knows how it is called."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.scenes import Scene
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit import task
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.physics import Instrument

Array = NDArray[np.floating[Any]]


def operator(scene: Scene, device: torch.device) -> Instrument:
    """Rest-frame flux, velocities and a factor on σ to native pixels."""
    spread = LineSpread.gaussian(scene.sigma)
    return Instrument(scene.rest, scene.wavelength, scene.segment, spread, 0.0).to(device)


def generate(bridge: Bridge, labels: Array, rv: Array, survey: str) -> Array:
    """Labels (N, K) and velocities in km/s to morphed, shifted, broadened native pixels (N, P)."""
    return bridge.predict(labels, survey, rv)


@dataclass(frozen=True)
class Encoded:
    """Latents of spectra.

    Args:
        latent: Shape (N, D).
        rv: km/s, shape (N,).
        chi2_per_pixel: Shape (N,).
    """

    latent: Array
    rv: Array
    chi2_per_pixel: Array


def encode(bridge: Bridge, seen: Observation) -> Encoded:
    """Latent, covariance, velocity and continuum of every star."""
    found = task.encode(bridge, seen, Options(steps=6, scatter=False))
    return Encoded(found.theta.numpy(), found.rv.numpy(), found.chi2_per_pixel.numpy())


@dataclass(frozen=True)
class Fitted:
    """Labels of spectra: (N, K) in their units, and velocities (N,) in km/s."""

    labels: Array
    rv: Array


def fit(bridge: Bridge, seen: Observation) -> Fitted:
    """All labels, velocity and continuum of every star, without the stellar-evolution prior."""
    found = task.fit_labels(bridge, seen, Options(population=False, scatter=False))
    return Fitted(bridge.scale.inverse(found.theta).numpy(), found.rv.numpy())


def observation(bridge: Bridge, survey: str, spectra: Spectra) -> Observation:
    """Spectra in the form that `encode` and `fit` take."""
    return prepare(bridge, survey, spectra)
