"""The Payne (Ting et al. 2019, ApJ 879, 69) rebuilt: labels → 300 → 300 → pixels, shifted by interpolation.

The hidden layers are random. The last one is not noise: each of its columns is a sum of spectral lines through the
survey's line spread, as a trained one is, so that what a shifted spectrum should be is known in closed form.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from benchmarks.scenes import Array, Scene
from benchmarks.truth import Lines, random_lines
from synth2obs.core.constants import C_KMS

LABELS, HIDDEN, PIXELS = 25, 300, 7214
SLOPE = 0.01

Layers = tuple[Array, Array, Array]


@dataclass(frozen=True)
class PayneNet:
    """Weights in float32, and what the last layer is made of.

    Args:
        weights, biases: Of the three layers, (out, in) and (out,).
        scene: Its pixels.
        lines: The lines of the last layer.
        depths, base: Depth of every line per hidden unit, (K, hidden), and without any, (K,).
    """

    weights: Layers
    biases: Layers
    scene: Scene
    lines: Lines
    depths: Array
    base: Array

    def spectrum(self, labels: Array) -> Array:
        """Rest-frame pixels (P,) of scaled labels (25,): in float64 if the labels are, which copies all weights."""
        hidden = labels
        for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
            inner = np.einsum("ij,j->i", weight, hidden) + bias
            hidden = np.where(inner > 0, inner, inner.dtype.type(SLOPE) * inner)
        last: Array = np.einsum("ij,j->i", self.weights[2], hidden) + self.biases[2]
        return last

    def shifted(self, labels: Array, rv: float) -> Array:
        """Pixels at a velocity in km/s, by linear interpolation."""
        return shift(self.scene.wavelength, self.spectrum(labels), rv)

    def exact(self, labels: Array, rv: Array) -> Array:
        """What `shifted` approximates, in closed form, for stars (N, 25) and (N,)."""
        sigma, seen = self.scene.sigma / self.scene.wavelength, []
        for own, velocity in zip(labels, rv, strict=True):
            hidden = torch.from_numpy(own)
            for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
                inner = torch.from_numpy(weight).double() @ hidden + torch.from_numpy(bias).double()
                hidden = leaky_relu(inner, SLOPE)
            depth = self.base + self.depths @ hidden.numpy()
            seen.append(1.0 - self.lines.seen(*self.scene.edges, float(velocity), sigma) @ depth)
        return np.stack(seen)


def random_payne(scene: Scene, labels: int = LABELS, hidden: int = HIDDEN, seed: int = 0) -> PayneNet:
    """A net of the published size over a scene's pixels."""
    random = np.random.default_rng(seed)
    lines = random_lines(scene, random)
    base = 0.01 * 50.0 ** random.uniform(size=len(lines.centre))
    depths = 0.4 * base[:, None] * random.normal(size=(len(base), hidden)) / np.sqrt(hidden)
    seen = lines.seen(*scene.edges, 0.0, scene.sigma / scene.wavelength)
    first = random.normal(size=(hidden, labels)) * 2.0 / np.sqrt(labels)
    second = random.normal(size=(hidden, hidden)) * np.sqrt(2.0 / hidden)
    weights = first, second, -(seen @ depths)
    biases = random.normal(size=hidden), random.normal(size=hidden) / 4.0, 1.0 - seen @ base
    return PayneNet(_single(weights), _single(biases), scene, lines, depths, base)


def _single(values: Layers) -> Layers:
    first, second, last = (value.astype(np.float32) for value in values)
    return first, second, last


def shift(wavelength: Array, flux: Array, rv: float) -> Array:
    """Spectrum (P,) at a velocity in km/s on the same pixels, by linear interpolation."""
    beta = rv / C_KMS
    return np.interp(wavelength * np.sqrt((1.0 - beta) / (1.0 + beta)), wavelength, flux)


class Batched:
    """The same net and shift in torch, in single precision, for many stars at a time."""

    def __init__(self, net: PayneNet) -> None:
        self.weights = [torch.from_numpy(weight) for weight in net.weights]
        self.biases = [torch.from_numpy(bias) for bias in net.biases]
        log_wave = np.log(net.scene.wavelength)
        self.step = float(log_wave[1] - log_wave[0])
        self.pixel = torch.arange(len(log_wave), dtype=torch.float64)

    def __call__(self, labels: Tensor, rv: Tensor) -> Tensor:
        """Pixels (B, P) of scaled labels (B, 25) at velocities (B,) in km/s; the pixels are uniform in ln λ."""
        hidden = labels.float()
        for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
            hidden = leaky_relu(torch.addmm(bias, hidden, weight.T), SLOPE)
        flux = torch.addmm(self.biases[2], hidden, self.weights[2].T)
        last = len(self.pixel) - 1
        position = (self.pixel - (torch.atanh(rv.double() / C_KMS) / self.step)[:, None]).clamp(0, last)
        first = position.floor().long().clamp(max=last - 1)
        return torch.lerp(flux.gather(1, first), flux.gather(1, first + 1), (position - first).float())
