"""An emulator of the grid, labels → flux, by which fits find their way; and how far it is off."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from synth2obs.core.labels import LabelSpace
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.read import read_shard
from synth2obs.models.emulator import EMULATORS
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.training.domains import label_table

COMPONENTS = 150
"""Of the flux, at most."""


@dataclass(frozen=True)
class Emulator:
    """A Gaussian process of the flux's principal components.

    Args:
        names: Labels.
        space: Their ranges.
        scale: Labels → what the process reads.
        process: Scaled labels → components.
        mean, vectors: Flux at no component, (L,), and the components', (C, L).
    """

    names: tuple[str, ...]
    space: LabelSpace
    scale: LabelScale
    process: torch.nn.Module
    mean: Tensor
    vectors: Tensor

    def flux(self, labels: Tensor) -> Tensor:
        """(B, L) at labels (B, K)."""
        return self.mean + self.process(self.scale(labels)) @ self.vectors

    def slopes(self, labels: Tensor) -> Tensor:
        """∂flux/∂label at labels (K,), shape (K, L)."""
        x = self.scale(labels[None])
        return (self.process.jacobian(x)[0].T @ self.vectors) * self.scale.slope(labels[None])[0][:, None]


def read_grid(path: Path) -> tuple[Spectra, tuple[str, ...], np.ndarray]:
    """A grid, its label names in the library's order, and its labels (N, K)."""
    grid = read_shard(path)
    return grid, *label_table(grid)


def learn(names: tuple[str, ...], values: np.ndarray, flux: Tensor) -> Emulator:
    """The emulator of spectra (N, L) at labels (N, K)."""
    space = LabelSpace.from_values(names, values)
    scale, mean = LabelScale(space, values), flux.mean(0)
    vectors = torch.linalg.svd(flux - mean, full_matrices=False)[2][: min(COMPONENTS, len(flux) - 1)]
    process = EMULATORS["process"](len(names), len(vectors), len(flux))
    process.attach(space, scale)
    targets = (flux - mean) @ vectors.T
    process.fit(scale(torch.from_numpy(values)), targets, torch.ones(len(vectors)).double(), None)
    return Emulator(names, space, scale, process, mean, vectors)


def left_out(names: tuple[str, ...], values: np.ndarray, flux: Tensor, folds: int, seed: int = 0) -> Tensor:
    """Errors (N, L) of spectra that the emulator was not taught, fold by fold."""
    fold = torch.from_numpy(np.random.default_rng(seed).permutation(len(values)) % folds)
    error = torch.zeros_like(flux)
    for number in range(folds):
        test = fold == number
        emulator = learn(names, values[~test.numpy()], flux[~test])
        error[test] = emulator.flux(torch.from_numpy(values[test.numpy()])).detach() - flux[test]
    return error
