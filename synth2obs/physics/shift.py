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

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.shapes import shaped

BLOCK = 16
"""Samples of the input that one row of the matrix product takes in, at least."""

SKINNY = 4
"""Outputs per block up to which the small matrix is the faster left factor."""


SLOPE = 1e-4
"""Samples. Half the difference that gives the derivative of a filter, in float64: exact to 1e-8."""


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


@shaped
def lagrange(fraction: Float[Tensor, " stars"], order: int) -> Float[Tensor, "stars steps"]:
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


class Filter(NamedTuple):
    """The filter of every star of a batch, placed on the grid that the stars share.

    Args:
        matrix: Takes input blocks to outputs, shape (B, blocks · outputs, s).
        slope: Its derivative by the shift, per sample, or None.
        ahead: Averaged samples by which each star's own grid is ahead of the shared one, int64, shape (B,).
        pooling: How spectra are averaged.
    """

    matrix: Tensor
    slope: Tensor | None
    ahead: Tensor
    pooling: Pooling


@shaped
def shift_filter(
    shift: Float64[Tensor, " stars"], pooling: Pooling, dtype: torch.dtype, *, slope: bool = False
) -> Filter:
    """Filters that shift spectra to larger index and average them.

    Args:
        shift: Samples, float64, shape (B,).
        pooling: How to average.
        dtype: Of the spectra.
        slope: Also the derivative by the shift.
    """
    start = -shift - 0.5 * pooling.boxes * (pooling.size - 1)
    whole = start.detach().div(pooling.size).floor()
    rest = start - pooling.size * whole
    # A start that is next to nothing below a multiple of the size leaves all of it, by rounding.
    first = rest.detach().floor().clamp(max=pooling.size - 1)
    matrix = _taps(rest - first, first, pooling).to(dtype)
    moved = None
    if slope:
        ends = (_taps(rest - first - end, first, pooling) for end in (SLOPE, -SLOPE))
        moved = torch.sub(*ends).div(2.0 * SLOPE).to(dtype)
    return Filter(matrix, moved, whole.long(), pooling)


@shaped
def shift_and_pool(
    flux: Float[Tensor, "stars cells"], own: Filter, first: int, count: int
) -> tuple[Float[Tensor, "stars averaged"], Int[Tensor, " stars"]]:
    """Spectra shifted and averaged.

    Args:
        flux: Shape (B, L); taken as 0 beyond its ends.
        own: Filters of the same stars.
        first, count: The samples wanted: j = first … first + count − 1, sample j being centred on q j.

    Returns:
        Averaged samples (B, ≥ count), differentiable in ``flux`` and the shift, and for each star the column that holds
        sample ``first``, int64, shape (B,).
    """
    low, high = int(own.ahead.min()), int(own.ahead.max())
    return _filter(flux, own.matrix, own.pooling, first + low, count + high - low), own.ahead - low


@shaped
def unpool_and_shift(
    averaged: Float[Tensor, "stars averaged"], own: Filter, first: int, samples: int
) -> Float[Tensor, "stars cells"]:
    """The transpose of `shift_and_pool`: shape (B, count) from sample ``first`` on → (B, samples)."""
    _, low, high, outputs = _layout(own.pooling)
    width = own.matrix.shape[2]
    begin, end = -high, samples // width - low + 2
    place = begin * outputs - first - own.ahead
    aligned = _window(averaged, place, (end - begin) * outputs).unflatten(1, (-1, outputs))
    count = end - begin - (high - low)
    stacked = torch.cat([aligned[:, high - low - k :][:, :count] for k in range(high - low + 1)], dim=2)
    spectra = torch.bmm(stacked, own.matrix).flatten(1)
    return spectra[:, :samples]


def _window(values: Tensor, start: Tensor, length: int) -> Tensor:
    """Columns start … start + length − 1 of each row, 0 where there are none."""
    low, high = int(start.min()), int(start.max())
    left, right = max(-low, 0), max(high + length - values.shape[1], 0)
    padded = pad(values, (left, right))
    return padded.unfold(1, length, 1)[torch.arange(len(values), device=values.device), start + left]


def _taps(fraction: Tensor, first: Tensor, pooling: Pooling) -> Tensor:
    """The filter of every star as a matrix that takes input blocks to outputs, shape (B, blocks · outputs, s)."""
    taps = lagrange(fraction, pooling.order)
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
    begin, end = first // outputs, -(-(first + count) // outputs)
    total = None
    for start, blocks in _blocks(flux, matrix.shape[2], begin + low, end + high):
        stop = start + blocks.shape[1]
        for ahead, part in enumerate(_outputs(blocks, matrix, outputs), start=low):
            left, right = max(start - ahead, begin), min(stop - ahead, end)
            own = part[:, left + ahead - start : max(right, left) + ahead - start]
            if total is None:
                total = pad(own, (0, 0, left - begin, end - max(right, left)))
            elif right > left:
                total[:, left - begin : right - begin] += own
    if total is None:
        total = flux.new_zeros(len(flux), end - begin, outputs)
    return total.flatten(1)[:, first - begin * outputs :][:, :count]


def _outputs(blocks: Tensor, matrix: Tensor, outputs: int) -> tuple[Tensor, ...]:
    """What each block adds to its own outputs and to those of its neighbours: shapes (B, n, outputs)."""
    if outputs <= SKINNY:
        return torch.bmm(matrix, blocks.mT).unflatten(1, (-1, outputs)).mT.unbind(1)
    return torch.bmm(blocks, matrix.mT).unflatten(2, (-1, outputs)).unbind(2)


def _blocks(flux: Tensor, width: int, begin: int, end: int) -> Iterator[tuple[int, Tensor]]:
    """Those of the blocks ``begin`` … ``end`` − 1 of ``width`` samples that spectra have, and the first one's number.

    Whole blocks are a view; what is left at the end is filled with zeros.
    """
    whole, left = divmod(flux.shape[1], width)
    start, stop = max(begin, 0), min(end, whole)
    if stop > start:
        yield start, flux[:, start * width : stop * width].unflatten(1, (-1, width))
    if left and begin <= whole < end:
        yield whole, pad(flux[:, whole * width :], (0, width - left))[:, None]
