r"""The instrument of stars that share their pixels: a filter for every star, then one banded matrix for all.

In the observed frame the line spread and the pixels do not depend on a star's velocity. With D_v the shift and K the
line spread and pixels, a spectrum becomes

.. math:: y = K D_v f = \big(K A^{-1}\big) \, \big(A D_v f\big) ,

A being an average over a few samples where the rest grid is much finer than the line spread. A D_v is a short filter
with one set of taps per star (`shift.shift_and_pool`), K A⁻¹ a banded matrix that is made once per survey and width:
A narrows nothing that K lets pass, and what it does is undone exactly in the kernel up to sixth order of derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.core.shapes import shaped
from synth2obs.physics import banded
from synth2obs.physics.lsf import Kernel, Response
from synth2obs.physics.pixels import check_window, row_weights, window_length
from synth2obs.physics.shift import Pooling, shift_and_pool, shift_filter, unpool_and_shift

FINE = 2.4
"""Averaged samples per σ that are kept, where an average still resolves the theory's own lines."""

COARSE = 4.0
"""The same where it does not, and lines alias unless the average suppresses them more."""

THERMAL = 2.0
"""km/s. Averages up to this length resolve any line: iron's thermal FWHM in a 4000 K star is 1.8 km/s."""

WORK = 2**22
"""Numbers worked on at a time: 16 MB in float32, within the caches."""


class Stretch(NamedTuple):
    """Pixels that follow each other in one band, and how the theory reaches them.

    Args:
        pixels, samples: Their slices of the native pixels and of the rest grid.
        pooling: Average over rest samples.
        first: The first averaged sample that is needed.
        where: BandLayout of the banded matrix.
    """

    pixels: slice
    samples: slice
    pooling: Pooling
    first: int
    where: banded.BandLayout


def pooling_for(sigma: float, step_kms: float) -> Pooling:
    """The average after which a line spread of ``sigma`` samples is still resolved.

    Args:
        sigma: The narrowest σ to be applied, in samples.
        step_kms: Length of a sample in km/s.
    """
    fine, coarse = int(sigma / FINE), int(sigma / COARSE)
    if fine * step_kms > THERMAL:
        fine = max(int(THERMAL / step_kms), 1)
    fine, coarse = (size // 8 * 8 if size > 8 else size for size in (fine, coarse))
    if coarse > fine:
        return Pooling(coarse, 4, 4 if coarse >= 8 else 6)
    if fine < 2:
        return Pooling()
    return Pooling(fine, 2, 8 if fine < 4 else 6 if fine < 8 else 4)


@shaped
@dataclass(frozen=True)
class SharedPixels:
    """The operator of one line spread.

    Args:
        parts: Stretches of pixels and the blocks of their banded matrices.
        lowest, highest: Shifts in samples between which each pixel's window is on the rest grid, shape (P,).
        always: Shifts between which that holds for all pixels.
    """

    parts: list[tuple[Stretch, Tensor]]
    lowest: Float64[Tensor, " pixels"]
    highest: Float64[Tensor, " pixels"]
    always: tuple[float, float]

    def __call__(
        self, flux: Float[Tensor, "stars cells"], shift: Float64[Tensor, " stars"]
    ) -> Float[Tensor, "stars pixels"]:
        """Native pixels, shape (B, P), of rest-frame flux (B, L) shifted by samples (B,), float64."""
        return self._masked(self._in_chunks(self._some, flux, shift), shift)

    def linearised(
        self, flux: Float[Tensor, "stars cells"], shift: Float64[Tensor, " stars"]
    ) -> tuple[Float[Tensor, "stars pixels"], Float[Tensor, "stars pixels"]]:
        """Native pixels and their derivative by the shift per sample, both (B, P)."""
        both = self._in_chunks(self._some_and_slope, flux, shift)
        return self._masked(both[:, 0], shift), self._masked(both[:, 1], shift)

    def adjoint(
        self, values: Float[Tensor, "stars pixels"], shift: Float64[Tensor, " stars"], samples: int
    ) -> Float[Tensor, "stars cells"]:
        """The transpose: native pixels (B, P) → (B, samples) on the rest grid."""
        rest = values.new_zeros(len(values), samples)
        if not len(values):
            return rest
        masked = self._masked(values, shift)
        for part, matrix in self.parts:
            averaged = banded.apply_transpose(matrix, part.where, masked[:, part.pixels])
            own = shift_filter(shift, part.pooling, values.dtype)
            count = part.samples.stop - part.samples.start
            rest[:, part.samples] += unpool_and_shift(averaged, own, part.first, count)
        return rest

    def _masked(self, native: Tensor, shift: Tensor) -> Tensor:
        covered = self.covers(shift)
        return native if covered is None else native * covered

    def _in_chunks(self, work: Callable[[Tensor, Tensor], Tensor], flux: Tensor, shift: Tensor) -> Tensor:
        """A few stars at a time, so that what is in between stays in the caches."""
        count = -(-len(flux) * flux.shape[1] // WORK)
        size = -(-len(flux) // max(count, 1)) or 1
        chunks = [work(flux[n : n + size], shift[n : n + size]) for n in range(0, max(len(flux), 1), size)]
        return torch.cat(chunks) if len(chunks) > 1 else chunks[0]

    def _some(self, flux: Tensor, shift: Tensor) -> Tensor:
        return self._parts(flux, shift, slope=False)[0]

    def _some_and_slope(self, flux: Tensor, shift: Tensor) -> Tensor:
        return torch.stack(self._parts(flux, shift, slope=True), dim=1)

    def _parts(self, flux: Tensor, shift: Tensor, *, slope: bool) -> list[Tensor]:
        """Native pixels, and their slope if asked for."""
        if not len(flux):
            return [flux.new_zeros(0, len(self.lowest))] * (1 + slope)
        pixels: list[list[Tensor]] = [[] for _ in range(1 + slope)]
        for part, matrix in self.parts:
            own = shift_filter(shift, part.pooling, flux.dtype, slope=slope)
            matrices = [own.matrix] if own.slope is None else [own.matrix, own.slope]
            for row, taps in zip(pixels, matrices, strict=True):
                filtered = own._replace(matrix=taps)
                averaged = shift_and_pool(flux[:, part.samples], filtered, part.first, part.where.columns)
                row.append(banded.apply(matrix, part.where, *averaged))
        return [torch.cat(row, dim=1) if len(row) > 1 else row[0] for row in pixels]

    @torch.no_grad()
    def covers(self, shift: Float64[Tensor, " stars"]) -> Bool[Tensor, "stars pixels"] | None:
        """Whether the rest grid covers each pixel's window, shape (B, P); None where all are covered."""
        if not len(shift):
            return None
        if float(shift.min()) >= self.always[0] and float(shift.max()) <= self.always[1]:
            return None
        return (shift[:, None] >= self.lowest) & (shift[:, None] <= self.highest)


@shaped
def shared_pixels(
    position: Float64[Tensor, " pixels"],
    band: Int[Tensor, "2 pixels"],
    half_width: Float64[Tensor, " pixels"],
    kernel: Kernel | Response,
    step: float,
    dtype: torch.dtype,
) -> SharedPixels:
    """The operator of pixels that all stars share; everything of shape (P,) in samples, float64.

    Args:
        position: Pixel centres.
        band: First and last sample that each pixel may use, shape (2, P).
        half_width: Half of each pixel.
        kernel: Line spread to apply; differentiable.
        step: Length of a sample in ln λ.
        dtype: Of the spectra.
    """
    runs = _runs(position, band, half_width + kernel.reach().detach())
    parts = [_stretch(run, position, band, half_width, kernel, step) for run in runs]
    side = half_width + kernel.reach().detach()
    lowest, highest = position + side - band[1], position - side - band[0]
    always = float(lowest.max()), float(highest.min())
    return SharedPixels([(part, rows.to(dtype)) for part, rows in parts], lowest, highest, always)


def _runs(position: Tensor, band: Tensor, side: Tensor) -> list[slice]:
    """Pixels in a row whose windows follow each other without a hole, in one band."""
    gap = position.diff() - side[1:] - side[:-1]
    breaks = (gap > side.max()) | (position.diff() <= 0) | (band.diff(dim=1) != 0).any(0)
    limits = [0, *(breaks.nonzero()[:, 0] + 1).tolist(), len(position)]
    return [slice(first, last) for first, last in pairwise(limits)]


def _stretch(
    run: slice, position: Tensor, band: Tensor, half_width: Tensor, kernel: Kernel | Response, step: float
) -> tuple[Stretch, Tensor]:
    low, high = (int(end) for end in band[:, run.start])
    own = kernel.map(lambda values: values[run])
    pooling = Pooling()
    if isinstance(own, Kernel):
        pooling = pooling_for(float(own.variance.detach().min()) ** 0.5, step * C_KMS)
        own = _averaged(own, pooling)
    centre, half = (position[run] - low) / pooling.size, half_width[run] / pooling.size
    length = window_length(float(half.max()), float(own.reach().detach().max()))
    check_window(length * pooling.size, high - low + 1)
    first = centre.round().long() - length // 2
    rows = row_weights(centre - first, half, own, length)
    start = int(first.min())
    where = banded.layout(first - start, length)
    return Stretch(run, slice(low, high + 1), pooling, start, where), banded.blocks(rows, where)


def _averaged(kernel: Kernel, pooling: Pooling) -> Kernel:
    """The line spread of averaged samples, with what the average does undone.

    The average of q samples has the cumulants κ₂ = (1 − q⁻²)/12, κ₄ = −(1 − q⁻⁴)/120 and κ₆ = (1 − q⁻⁶)/252 in averaged
    samples; deconvolving it multiplies by exp(−Σ κ_n ∂ⁿ / n!).
    """
    q, boxes = float(pooling.size), pooling.boxes
    if not boxes:
        return kernel
    variance = kernel.variance / q**2 - boxes * (1.0 - q**-2) / 12.0
    undo = boxes * (1.0 - q**-4) / 2880.0, -boxes * (1.0 - q**-6) / 181440.0
    return Kernel(variance, None if kernel.width is None else kernel.width / q, kernel.hermite, undo)
