r"""What a blunter survey sees of a sharper one's gap: a Gaussian in ln λ, from one rest grid onto another.

On samples the Gaussian of variance t cells² is :math:`e^{-t} I_n(t)` (Lindeberg 1990, IEEE Trans. PAMI 12, 234): its
variance is t exactly, two in a row are one of the sum of their variances, t = 0 is the identity, and a wave of
wavenumber k per cell keeps the share :math:`e^{-t (1 - \cos k)}`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy.special import ive
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.core.wavelengths import bands

REACH = 6.0
"""Half width of a kernel, in its σ, beside a few cells."""


@shaped
class Smoothing(NamedTuple):
    """Linear map of functions of the rest frame from a sharp grid (L cells) onto a blunt one (M cells).

    Args:
        matrix: Sparse, shape (M, L); rows sum to 1, or to 0 where the sharp grid does not reach.
        variance: Of the Gaussian where the blunt grid's cells are, in cells² of the sharp grid.
        place: The sharp cell next to each blunt one.
        back: The blunt cell next to each sharp one.
        density: Blunt cells to a sharp one; 0 beyond the blunt grid.
    """

    matrix: Tensor
    variance: Float64[Tensor, " cells2"]
    place: Int64[Tensor, " cells2"]
    back: Int64[Tensor, " cells"]
    density: Float64[Tensor, " cells"]

    @property
    def reached(self) -> Bool[Tensor, " cells2"]:
        """Blunt cells that the sharp grid has."""
        return torch.sparse.sum(self.matrix, 1).to_dense() > 0.5

    def __call__(self, values: Float64[Tensor, "cells features"]) -> Float64[Tensor, "cells2 features"]:
        """Values on the blunt grid."""
        return torch.sparse.mm(self.matrix, values)

    def adjoint(self, values: Float64[Tensor, "cells2 features"]) -> Float64[Tensor, "cells features"]:
        """The transpose."""
        return torch.sparse.mm(self.matrix.t(), values)

    def power(self, values: Float64[Tensor, "cells features"]) -> Float64[Tensor, "cells2 features"]:
        """Variances of what is smoothed, from those of independent cells."""
        return torch.sparse.mm(self._square, values)

    def power_adjoint(self, values: Float64[Tensor, "cells2 features"]) -> Float64[Tensor, "cells features"]:
        """The transpose of `power`."""
        return torch.sparse.mm(self._square.t(), values)

    @property
    def _square(self) -> Tensor:
        return self.matrix * self.matrix

    def kept(
        self, wavenumber: Float64[Tensor, " places"], cells: Int64[Tensor, " places"]
    ) -> Float64[Tensor, " places"]:
        """Share that waves keep of their amplitude in some blunt cells; in radians per sharp cell, 0 to π."""
        return torch.exp(-self.variance[cells] * (1.0 - torch.cos(wavenumber)))


@shaped
def smoothing(
    sharp: Float64[Tensor, " cells"],
    blunt: Float64[Tensor, " cells2"],
    sharp_sigma: Float64[Tensor, " cells"],
    blunt_sigma: Float64[Tensor, " cells2"],
) -> Smoothing:
    """The map between two grids and line spreads; where the blunt one is the sharper, nothing is smoothed.

    Interpolation between cells is linear, after the smoothing. It adds up to a quarter of a cell² where grids differ.

    Args:
        sharp, blunt: Vacuum Å, increasing; the sharp one uniform in ln λ inside its bands.
        sharp_sigma, blunt_sigma: σ of the line spreads in ln λ.

    Raises:
        ValueError: If a σ is negative or not finite.
    """
    for name, sigma in (("sharp_sigma", sharp_sigma), ("blunt_sigma", blunt_sigma)):
        if not bool(torch.isfinite(sigma).all()) or bool((sigma < 0).any()):
            raise ValueError(f"{name} in ln λ must be finite and >= 0, got {float(sigma.min())}")
    start, stop, step = _bands(sharp)
    left, share, inside = _among(blunt.log(), sharp.log(), start, stop)
    place = left + (share > 0.5)
    excess = (blunt_sigma.square() - sharp_sigma[place].square()).clamp(min=0.0)
    variance = torch.where(inside, excess / step[place].square(), 0.0)
    matrix = _matrix(variance, left, share, inside, start, stop)
    blunt_start, blunt_stop, blunt_step = _bands(blunt)
    below, fraction, covered = _among(sharp.log(), blunt.log(), blunt_start, blunt_stop)
    back = below + (fraction > 0.5)
    return Smoothing(matrix, variance, place, back, torch.where(covered, step / blunt_step[back], 0.0))


def finest(grids: Sequence[Tensor]) -> Tensor:
    """One grid, shape (L,), for all of some (vacuum Å): where several have cells, those of the finest."""
    found: list[np.ndarray] = []
    for grid in sorted((grid.numpy() for grid in grids), key=lambda each: float(np.diff(np.log(each)).min())):
        taken = [cells[band] for cells in found for band in bands(cells)]
        free = np.ones(len(grid), dtype=bool)
        for band in taken:
            free &= (grid < band[0]) | (grid > band[-1])
        # A band of one cell has no step.
        runs = np.split(np.nonzero(free)[0], np.nonzero(np.diff(np.nonzero(free)[0]) > 1)[0] + 1)
        found += [grid[run] for run in runs if len(run) > 1]
    return torch.from_numpy(np.sort(np.concatenate(found)))


def _bands(grid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First cell, cell after the last, and step in ln λ of the band that each cell is in."""
    count, log = len(grid), grid.log()
    start, stop = (torch.zeros(count, dtype=torch.int64) for _ in range(2))
    step = torch.zeros(count, dtype=torch.float64)
    for band in bands(grid.numpy()):
        start[band], stop[band] = band.start, band.stop
        step[band] = (log[band][-1] - log[band][0]) / max(band.stop - band.start - 1, 1)
    return start, stop, step.clamp(min=1e-12)


def _among(query: Tensor, grid: Tensor, start: Tensor, stop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cell to the left, share of the one to its right, and whether both are of one band."""
    left = (torch.searchsorted(grid, query, right=True) - 1).clamp(0, len(grid) - 2)
    share = (query - grid[left]) / (grid[left + 1] - grid[left])
    # Float64 logarithms of one wavelength may differ in the last digits.
    share = torch.where((share - share.round()).abs() < 1e-6, share.round(), share)
    last = (share == 1.0) & (left + 2 < len(grid))
    left, share = torch.where(last, left + 1, left), torch.where(last, 0.0, share)
    alone = (share == 0.0) | (share == 1.0)
    inside = (share >= 0.0) & (share <= 1.0) & (alone | (stop[left] > left + 1))
    return left, share.clamp(0.0, 1.0), inside


def _matrix(
    variance: Tensor, left: Tensor, share: Tensor, inside: Tensor, start: Tensor, stop: Tensor
) -> Tensor:
    """Kernels about both neighbours, each of sum 1 over the cells of its band, in their shares."""
    half = int(REACH * float(variance.max().sqrt())) + 3 if bool(variance.any()) else 0
    offset = torch.arange(-half, half + 1)
    kernel = torch.from_numpy(ive(offset.abs().numpy()[None], variance.numpy()[:, None]))
    rows: list[Tensor] = []
    columns: list[Tensor] = []
    values: list[Tensor] = []
    for centre, part in ((left, 1.0 - share), (left + 1, share)):
        column = centre[:, None] + offset
        there = (column >= start[centre][:, None]) & (column < stop[centre][:, None])
        weight = torch.where(there, kernel, 0.0)
        weight = weight / weight.sum(1, keepdim=True) * torch.where(inside, part, 0.0)[:, None]
        row, entry = torch.nonzero(weight > 0, as_tuple=True)
        rows.append(row)
        columns.append(column[row, entry])
        values.append(weight[row, entry])
    index = torch.stack([torch.cat(rows), torch.cat(columns)])
    return torch.sparse_coo_tensor(
        index, torch.cat(values), (len(left), len(start)), check_invariants=True
    ).coalesce()
