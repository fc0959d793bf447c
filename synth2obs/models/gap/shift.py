r"""A shift of all stars' labels beside a gap: which of the two a residual is.

.. math:: r_{n\lambda} = \sum_j J_{jn}(\lambda)\, \beta_j^T \varphi_n + D(\lambda)^T \varphi_n + \epsilon ,
          \qquad \beta \sim N(0, I)

A gap whose lines are wrong one by one has a wide prior in few cells; a shift of labels moves all lines at once. So
cells with little gap tell the shift, and the rest of a gap follows from it: with D integrated out, the posterior of β
is that of generalised least squares with the covariance :math:`\Phi T \Phi^T + W^{-1}` of every cell.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.contracts import LabelSlopes

FEATURES = 4
"""Of the gap's features, those with which a shift may change: the constant and the linear ones."""


class Shift(NamedTuple):
    """Posterior of β, float64: J labels, M features."""

    mean: Tensor  # (J, M)
    covariance: Tensor  # (J M, J M)


class _Sums(NamedTuple):
    """Of some cells: with X the changes times the features, and C the gap's covariance given β."""

    square: Tensor  # (l, Q, Q) XᵀWX
    cross: Tensor  # (l, F, Q) ΦᵀWX
    moment: Tensor  # (l, Q) XᵀWr
    pull: Tensor  # (l, F) ΦᵀWr


def no_shift(phi: Tensor, slopes: LabelSlopes | None) -> Shift:
    """Zero, before any step; of no label without slopes. Features have shape (N, F)."""
    labels, size = (0, 0) if slopes is None else (len(slopes.change), min(FEATURES, phi.shape[1]))
    return Shift(phi.new_zeros(labels, size), phi.new_zeros(labels * size, labels * size))


def without(residual: Tensor, phi: Tensor, slopes: LabelSlopes, shift: Shift) -> Tensor:
    """Residuals (N, L) less what a shift does to them."""
    size = shift.mean.shape[1]
    left = residual.clone()
    for change, row in zip(slopes.change, shift.mean @ phi[:, :size].T, strict=True):
        left -= change.to(left) * row[:, None]
    return left


def learned_shift(
    residual: Tensor, weight: Tensor, phi: Tensor, covariance: Tensor, slopes: LabelSlopes, block: int
) -> Shift:
    """Posterior of the shift.

    Args:
        residual, weight: Shape (N, L), float64; weights are 0 where masked.
        phi: Features, shape (N, F), float64.
        covariance: Of the gap given the shift, shape (L, F, F).
        slopes: Of spectra.
        block: Cells at a time.
    """
    count = len(slopes.change) * min(FEATURES, phi.shape[1])
    square, moment = phi.new_zeros(count, count), phi.new_zeros(count)
    for cells, sums in _blocks(residual, weight, phi, slopes, block):
        response = covariance[cells] @ sums.cross
        square += (sums.square - sums.cross.mT @ response).sum(0)
        moment += (sums.moment - (response.mT @ sums.pull[..., None])[..., 0]).sum(0)
    precision = square / slopes.samples + torch.eye(count, dtype=phi.dtype)
    found = torch.linalg.inv(precision)
    return Shift((found @ (moment / slopes.samples)).view(len(slopes.change), -1), found)


def widened(
    weight: Tensor, phi: Tensor, covariance: Tensor, slopes: LabelSlopes, shift: Shift, block: int
) -> Tensor:
    """The gap's covariance (L, F, F), given the shift, with what the shift's own error adds."""
    whole = covariance.clone()
    for cells, sums in _blocks(torch.zeros_like(weight), weight, phi, slopes, block):
        response = covariance[cells] @ sums.cross
        whole[cells] += response @ shift.covariance @ response.mT
    return whole


def _blocks(
    residual: Tensor, weight: Tensor, phi: Tensor, slopes: LabelSlopes, block: int
) -> Iterator[tuple[slice, _Sums]]:
    for first in range(0, residual.shape[1], block):
        cells = slice(first, first + block)
        change = slopes.change[:, :, cells].to(phi)
        yield cells, _sums(residual[:, cells], weight[:, cells], phi, change)


def _sums(residual: Tensor, weight: Tensor, phi: Tensor, change: Tensor) -> _Sums:
    """Products of features are the same in all cells: every sum is a matrix product over stars."""
    size, labels = min(FEATURES, phi.shape[1]), len(change)
    few = phi[:, :size]
    outer = (few[:, :, None] * few[:, None, :]).flatten(1)
    beside = (phi[:, :, None] * few[:, None, :]).flatten(1)
    weighted = weight * change
    cross = (weighted.mT @ beside).unflatten(-1, (-1, size)).permute(1, 2, 0, 3).flatten(2)
    pairs = [(weighted[a] * change).mT @ outer for a in range(labels)]
    rows = torch.stack(pairs).unflatten(-1, (size, size)).permute(2, 0, 3, 1, 4)
    moment = ((weighted * residual).mT @ few).permute(1, 0, 2).flatten(1)
    return _Sums(rows.flatten(3).flatten(1, 2), cross, moment, (weight * residual).T @ phi)
