"""Labels that a star is expected to have, given its Teff, log g and [Fe/H]."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synth2obs.core.trends import KNOTS, expected

TEFF = np.arange(3000.0, 8001.0, 500.0)
LOGG = np.unique(np.r_[np.linspace(0.0, 5.2, 27), 3.5])
FE_H = np.unique(np.r_[np.linspace(-3.0, 0.6, 19), KNOTS])
"""Nodes of the lattice in K and dex; where the trends have corners there are nodes."""


class Mean(NamedTuple):
    """Expected labels and how they run with the three."""

    value: Tensor  # (B, K)
    slope: Tensor  # (B, K, 3) per K, dex and dex


class ExpectedLabels(nn.Module):
    """The means of `core.trends`, linear in each of the three between the nodes of a lattice, constant beyond its ends.

    Args:
        names: Of the labels, K; those of Teff, log g and [Fe/H] themselves are 0.
    """

    table: Tensor

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self.axes = [torch.from_numpy(axis) for axis in (TEFF, LOGG, FE_H)]
        self.register_buffer("table", torch.from_numpy(_table(names)), persistent=False)

    def forward(self, stellar: Tensor) -> Mean:
        """Of stars of Teff, log g and [Fe/H], shape (B, 3), float64."""
        sides = [_sides(axis, stellar[:, column]) for column, axis in enumerate(self.axes)]
        (i, j, k) = (side.nodes for side in sides)
        corners = self.table[i[:, :, None, None], j[:, None, :, None], k[:, None, None, :]]
        shares, slopes = [side.shares for side in sides], [side.slopes for side in sides]
        by_label = [
            _blend(corners, [slopes[axis] if axis == which else shares[axis] for axis in range(3)])
            for which in range(3)
        ]
        return Mean(_blend(corners, shares), torch.stack(by_label, dim=2))


class _Sides(NamedTuple):
    """The nodes on both sides of values, (B, 2), their shares, and the slopes of these."""

    nodes: Tensor
    shares: Tensor
    slopes: Tensor


def _sides(axis: Tensor, values: Tensor) -> _Sides:
    lower = (torch.searchsorted(axis, values.contiguous(), right=True) - 1).clamp(0, len(axis) - 2)
    step = axis[lower + 1] - axis[lower]
    share = (values - axis[lower]) / step
    inside = (share >= 0) & (share <= 1)
    share, slope = share.clamp(0, 1), inside / step
    return _Sides(
        torch.stack([lower, lower + 1], 1),
        torch.stack([1 - share, share], 1),
        torch.stack([-slope, slope], 1),
    )


def _blend(corners: Tensor, weights: list[Tensor]) -> Tensor:
    return torch.einsum("bi,bj,bk,bijkn->bn", *weights, corners)


def _table(names: tuple[str, ...]) -> NDArray[np.float64]:
    nodes = np.meshgrid(TEFF, LOGG, FE_H, indexing="ij")
    flat = [axis.ravel() for axis in nodes]
    table = np.zeros((*nodes[0].shape, len(names)))
    for column, name in enumerate(names):
        if name not in ("teff", "logg", "fe_h"):
            table[..., column] = expected(name, *flat).reshape(nodes[0].shape)
    return table
