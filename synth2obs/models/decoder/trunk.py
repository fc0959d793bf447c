"""The trunk of the decoder: functions of wavelength that all stars share."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from synth2obs.core.shapes import shaped

POINTS = 6
"""Samples from which a table at the rest grid's spacing is interpolated."""


@shaped
class Trunk(nn.Module):
    r"""Basis functions B(λ) held on grids of several spacings in ln λ.

    .. math:: B(\lambda) = F(\ln\lambda) + W_2 \tanh(W_1 c(\ln\lambda) + b_1)

    F is a table at the rest grid's own spacing; c are tables at coarser spacings, joined. The second term
    starts at zero, so that a trunk started from singular vectors is exactly those vectors.

    The grid may consist of several bands with holes between them. Bands share W₁, W₂ and b₁ and nothing else: no
    interpolation reaches across a hole, and a hole has no samples.

    Args:
        samples: Length L of the rest grid.
        rank: Number of basis functions K.
        strides: Spacings of the coarse tables, in rest samples.
        width: Channels of each coarse table, and hidden units per coarse table.
        starts: First sample of every band; the first is 0.

    Raises:
        ValueError: If a band has fewer samples than the interpolation needs.
    """

    edges: Tensor

    def __init__(
        self,
        samples: int,
        rank: int,
        strides: tuple[int, ...] = (16, 128),
        width: int = 8,
        starts: Sequence[int] = (0,),
    ) -> None:
        super().__init__()
        self.samples, self.strides = samples, strides
        sizes = [stop - start for start, stop in pairwise((*starts, samples))]
        if min(sizes) < POINTS:
            raise ValueError(
                f"every band needs at least {POINTS} samples, got bands of {sizes}; drop the short ones"
            )
        self.register_buffer("edges", torch.tensor([*starts, samples]), persistent=False)
        self.fine = nn.Parameter(torch.zeros(samples, rank))
        nodes = [sum(_nodes(size, stride) for size in sizes) for stride in strides]
        self.coarse = nn.ParameterList(nn.Parameter(0.1 * torch.randn(count, width)) for count in nodes)
        joined = width * len(strides)
        self.mix = nn.Sequential(nn.Linear(joined, 4 * joined), nn.Tanh(), nn.Linear(4 * joined, rank))
        last = self.mix[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, position: Float[Tensor, " places"]) -> Float[Tensor, "places functions"]:
        """Basis at any wavelength inside a band.

        Args:
            position: Place on the rest grid in samples, as `core.wavelengths.band_positions` gives it, shape (N,).

        Returns:
            Shape (N, K).
        """
        return self.between(self.fine, position) + self._smooth(position)

    def table(self) -> Float[Tensor, "cells functions"]:
        """The basis on the rest grid itself, shape (L, K); equal to ``forward`` there."""
        return self.fine + self._smooth(torch.arange(self.samples, device=self.fine.device))

    def between(
        self, table: Float[Tensor, "cells functions"], position: Float[Tensor, " places"]
    ) -> Float[Tensor, "places functions"]:
        """A table on the rest grid, (L, K), at places between its samples, (N,): Lagrange's polynomials, (N, K)."""
        band = self._band(position)
        first = position.floor().long() - (POINTS // 2 - 1)
        first = torch.maximum(torch.minimum(first, self.edges[band + 1] - POINTS), self.edges[band])
        x = (position - first).to(table.dtype)
        terms = (weight[:, None] * table[first + place] for place, weight in enumerate(_lagrange(x, POINTS)))
        return sum(terms, table.new_zeros(len(position), table.shape[1]))

    def _band(self, position: Tensor) -> Tensor:
        return torch.bucketize(position.floor(), self.edges[1:-1], right=True)

    def _smooth(self, position: Tensor) -> Tensor:
        band = self._band(position)
        parts = []
        for table, stride in zip(self.coarse, self.strides, strict=True):
            counts = [_nodes(int(size), stride) for size in self.edges.diff()]
            before = torch.tensor([0, *counts[:-1]], device=position.device).cumsum(0)[band]
            parts.append(_linear(table, (position - self.edges[band]) / stride, before))
        return self.mix(torch.cat(parts, dim=-1))


def _nodes(samples: int, stride: int) -> int:
    return (samples - 1) // stride + 2


def _linear(table: Tensor, place: Tensor, before: Tensor) -> Tensor:
    """Between the nodes of one band, of which ``before`` nodes of other bands come first."""
    first = place.floor().long()
    share = (place - first).to(table.dtype)[:, None]
    return torch.lerp(table[before + first], table[before + first + 1], share)


def _lagrange(x: Tensor, points: int) -> list[Tensor]:
    """Weights of samples at 0, 1, … for a value at x (Abramowitz & Stegun 25.2.2)."""
    weights = []
    for own in range(points):
        weight = torch.ones_like(x)
        for other in range(points):
            if other != own:
                weight = weight * (x - other) / (own - other)
        weights.append(weight)
    return weights
