"""Spectra of a grid, split; and its gradient spectra as differences between pairs of labels."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synth2obs.core.labels import LabelSpace
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.training.domains import label_table

HELD_OUT = 0.2
NOISE = 1e-3
"""Rms change of flux per step below which a label's gradient is noise."""


@dataclass(frozen=True)
class Pairs:
    """Gradient spectra: labels of both ends (R, K), the change of flux and the flux of the point (R, L), its row."""

    upper: Tensor
    lower: Tensor
    change: Tensor
    base: Tensor
    point: Tensor

    def take(self, rows: Tensor) -> "Pairs":
        return Pairs(*(getattr(self, name)[rows] for name in ("upper", "lower", "change", "base", "point")))


@dataclass(frozen=True)
class Data:
    """Scaled labels (N, K), flux (N, L), wavelength, line width (L,), rows to train on and to test, gradients."""

    x: Tensor
    flux: Tensor
    wavelength: Tensor
    sigma: Tensor
    train: Tensor
    test: Tensor
    pairs: Pairs | None
    space: LabelSpace
    scale: LabelScale

    def first(self, count: int) -> "Data":
        """With fewer spectra to train on."""
        return replace(self, train=self.train[:count])

    def without_pairs(self) -> "Data":
        return replace(self, pairs=None)


def load(path: str, start: float, stop: float, seed: int = 0) -> Data:
    """A grid's shard, cut; points with gradient spectra never test."""
    grid = cut_wavelengths(read_shard(resolve(path)), start, stop)
    names, values = label_table(grid)
    order = np.random.default_rng(seed).permutation(len(values))
    points = np.array([], int) if grid.gradients is None else np.unique(grid.gradients.index)
    free = order[~np.isin(order, points)]
    held = int(HELD_OUT * len(values))
    train = np.concatenate([free[held:], points])
    space = LabelSpace.from_values(names, values[train])
    scale = LabelScale(space, values[train])
    flux = torch.from_numpy(np.asarray(grid.flux, np.float64))
    pairs = None if grid.gradients is None else _pairs(grid.gradients, names, values, flux, scale)
    return Data(
        scale(torch.from_numpy(values)),
        flux,
        torch.from_numpy(np.asarray(grid.wavelength, float)),
        torch.from_numpy(np.asarray(grid.line_spread.sigma[0], float)),
        torch.from_numpy(train),
        torch.from_numpy(free[:held]),
        pairs,
        space,
        scale,
    )


def _pairs(gradients, names, values, flux, scale) -> Pairs:
    base, parts = values[gradients.index], []
    for name in (name for name in names if name in gradients.values):
        step = gradients.steps[name]
        ends = [base + sign * step * np.eye(len(names))[names.index(name)] for sign in (1, -1)]
        change = torch.from_numpy(np.asarray(gradients.values[name], np.float64) * 2.0 * step)
        upper, lower = (scale(torch.from_numpy(end)) for end in ends)
        parts.append(
            (upper, lower, change, flux[gradients.index], torch.from_numpy(np.asarray(gradients.index)))
        )
    return Pairs(*(torch.cat(column) for column in zip(*parts, strict=True)))


def gradient_error(predict, pairs: Pairs) -> float:
    """Median over gradient spectra above the noise of |error| / |gradient|, norms over wavelength."""
    loud = pairs.change.square().mean(1).sqrt() > NOISE
    error = predict(pairs.upper[loud]) - predict(pairs.lower[loud]) - pairs.change[loud]
    return (error.norm(dim=1) / pairs.change[loud].norm(dim=1)).median().item()
