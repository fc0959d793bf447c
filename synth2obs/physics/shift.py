r"""Shift spectra by any fraction of a sample and average them onto a coarser grid, star by star.

Every star has its own velocity, but the shift is the same all along a spectrum that is uniform in ln λ. So it is a
short filter with one set of taps per star,

.. math:: y_j = \sum_a \beta_a \, \tilde f(q j - s - e + a) , \qquad
          \tilde f(x) = \sum_i \ell(x - i)\, f_i ,

with q samples averaged into one, s the shift, ℓ the Lagrange interpolant, β the box of q samples convolved m times with
itself and e = m (q − 1) / 2 its centre. The taps form one small matrix per star, so that all stars are one batched
product of matrices and a spectrum is read once. What β does to a line is undone where the line spread is applied
(`lsf.Prefilter`).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

BLOCK = 16
"""Samples of the input that one row of the matrix product takes in, at least."""

SKINNY = 4
"""Outputs per block up to which the small matrix is the faster left factor."""


class Pooling(NamedTuple):
    """How spectra are averaged onto a coarser grid.

    Args:
        size: Samples q averaged into one.
        boxes: How often m the average is repeated, 0 for q = 1; each repeat suppresses aliasing further.
        order: Even number of samples that the interpolant ℓ spans.
    """

    size: int = 1
    boxes: int = 0
    order: int = 18

    @property
    def reach(self) -> int:
        """Samples on either side that an average depends on."""
        return (self.boxes * (self.size - 1) + self.order) // 2 + 1


def lagrange(fraction: Tensor, order: int) -> Tensor:
    """Weights of the ``order`` samples around a place that lies ``fraction`` ∈ [0, 1) beyond one of them.

    Args:
        fraction: Shape (B,).
        order: Even.

    Returns:
        Shape (B, order), of the samples 1 − order/2 … order/2; sums to 1.
    """
    nodes = torch.arange(1 - order // 2, order // 2 + 1, dtype=fraction.dtype, device=fraction.device)
    distance = fraction[:, None] - nodes
    apart = nodes[:, None] - nodes
    others = ~torch.eye(order, dtype=torch.bool, device=nodes.device)
    ratio = torch.where(others, distance[:, None, :] / torch.where(others, apart, 1.0), 1.0)
    return ratio.prod(-1)


def shift_and_pool(
    flux: Tensor, shift: Tensor, pooling: Pooling, first: int, count: int
) -> tuple[Tensor, Tensor]:
    """Spectra shifted to larger index and averaged, on a grid that all stars share.

    Args:
        flux: Shape (B, L); taken as 0 beyond its ends.
        shift: Samples, float64, shape (B,).
        pooling: How to average.
        first, count: The samples wanted: j = first … first + count − 1, sample j being centred on q j.

    Returns:
        Averaged samples (B, ≥ count), differentiable in ``flux`` and ``shift``, and for each star the column that holds
        sample ``first``, int64, shape (B,).
    """
    q, start = pooling.size, -shift - 0.5 * pooling.boxes * (pooling.size - 1)
    whole = start.detach().div(q).floor()
    matrix = _taps(start - q * whole, pooling).to(flux.dtype)
    ahead = whole.long()
    low, high = int(ahead.min()), int(ahead.max())
    return _filter(flux, matrix, pooling, first + low, count + high - low), ahead - low


def _taps(start: Tensor, pooling: Pooling) -> Tensor:
    """The filter of every star as a matrix that takes input blocks to outputs, shape (B, blocks · outputs, s)."""
    first = start.detach().floor()
    taps = lagrange(start - first, pooling.order)
    if pooling.boxes:
        taps = taps @ _boxes(pooling).to(taps)
    empty = pooling.size - 1
    length = taps.shape[1] + empty
    places = torch.arange(length, device=taps.device) - first.long()[:, None] + empty
    placed = pad(pad(taps, (empty, empty)).gather(1, places), (0, 1))
    return placed[:, torch.from_numpy(_layout(pooling)[0]).to(taps.device)]


@lru_cache(maxsize=32)
def _boxes(pooling: Pooling) -> Tensor:
    """Convolution with the repeated box as a matrix, shape (order, order + m (q − 1)), float64."""
    box = np.ones(1)
    for _ in range(pooling.boxes):
        box = np.convolve(box, np.full(pooling.size, 1.0 / pooling.size))
    rows = [np.convolve(row, box) for row in np.eye(pooling.order)]
    return torch.from_numpy(np.stack(rows))


@lru_cache(maxsize=32)
def _layout(pooling: Pooling) -> tuple[np.ndarray, int, int, int]:
    """Which tap stands where in the matrix, its first and last input block, and outputs per block."""
    q, outputs = pooling.size, max(1, BLOCK // pooling.size)
    width = q * outputs
    before = 1 - pooling.order // 2
    length = q - 1 + pooling.boxes * (q - 1) + pooling.order
    low = before // width
    high = (before + length - 1 + q * (outputs - 1)) // width
    block, output, sample = np.ogrid[low : high + 1, :outputs, :width]
    tap = width * block + sample - q * output - before
    return np.where((tap >= 0) & (tap < length), tap, length).reshape(-1, width), low, high, outputs


def _filter(flux: Tensor, matrix: Tensor, pooling: Pooling, first: int, count: int) -> Tensor:
    """Filtered samples first … first + count − 1 of every star, each with its own taps."""
    _, low, high, outputs = _layout(pooling)
    width = matrix.shape[2]
    begin, end = first // outputs, -(-(first + count) // outputs)
    blocks = _blocks(flux, width, begin + low, end + high)
    if outputs <= SKINNY:
        product = torch.bmm(matrix, blocks.mT).unflatten(1, (-1, outputs)).mT.unbind(1)
    else:
        product = torch.bmm(blocks, matrix.mT).unflatten(2, (-1, outputs)).unbind(2)
    total = product[0][:, : end - begin]
    for place, part in enumerate(product[1:], start=1):
        total = total + part[:, place : place + end - begin]
    return total.flatten(1)[:, first - begin * outputs :][:, :count]


def _blocks(flux: Tensor, width: int, begin: int, end: int) -> Tensor:
    """Blocks of ``width`` samples, shape (B, end − begin, width), zeros beyond the ends of the spectra."""
    low, high = begin * width, end * width
    inside = flux[:, max(low, 0) : max(high, 0)]
    if low < 0 or high > flux.shape[1]:
        missing = max(-low, 0) if high > 0 else high - low
        inside = pad(inside, (missing, high - low - missing - inside.shape[1]))
    return inside.unflatten(1, (-1, width))
