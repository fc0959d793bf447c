"""Functions of every star in its own native pixels: exact sums, memory for every star."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.constants import C_KMS
from synth2obs.models.projection.linear import Expansion, Products, few_stars, gram_of, rows_of


@dataclass(frozen=True)
class Projected:
    """Functions of each star in its own native pixels.

    Args:
        functions: A of each star at its velocity, shape (B, P, M), float32; ``rv`` counts from there.
        log_wave: ln λ of the pixels, shape (B, P) or (P,).
        inner: Whether both neighbours of a pixel exist, on its detector and within the grid, shape (B, P) or
            (P,); the velocity's derivative is 0 elsewhere. None: all but the first and the last pixel.
    """

    functions: Tensor
    log_wave: Tensor
    inner: Tensor | None = None

    def _spacing(self) -> Tensor:
        """−1 / (c Δln λ) over both neighbours, 0 where one of them is missing, shape (B, P)."""
        x = self.log_wave.expand(self.functions.shape[:2])
        inverse = pad(-1.0 / (C_KMS * (x[:, 2:] - x[:, :-2])), (1, 1)).float()
        return inverse if self.inner is None else inverse.where(self.inner, 0.0)

    def take(self, rows: Tensor) -> "Projected":
        """See `Linear`."""
        log_wave, inner = (x if x is None or x.dim() == 1 else x[rows] for x in (self.log_wave, self.inner))
        return Projected(self.functions[rows], self.log_wave if log_wave is None else log_wave, inner)

    def spectrum(self, coefficients: Tensor, rv: Tensor) -> tuple[Tensor, Tensor]:
        """See `Linear`; the shift is linear in ``rv``."""
        still = torch.einsum("bpm,bm->bp", self.functions, coefficients.float())
        by_rv = _differences(still, self._spacing())
        return still + by_rv * rv.float()[:, None], by_rv

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """See `Linear`."""
        spread = self._spacing() * rv.float()[:, None] * values
        total = values.clone()
        total[:, 2:] += spread[:, 1:-1]
        total[:, :-2] -= spread[:, 1:-1]
        return torch.einsum("bpm,bp->bm", self.functions, total)

    def normal(self, at: Expansion) -> Tensor:
        """See `Linear`; exact but for the shift."""
        weight = at.noise.marginal.float() * at.continuum.square()
        parts = []
        for rows, _ in few_stars(at):
            functions = self.functions[rows]
            parts.append(functions.mT @ (functions * weight[rows, :, None]))
        return torch.cat(parts)

    def products(self, at: Expansion) -> Products:
        """See `Linear`; exact."""
        shift = (self._spacing() * at.rv.float()[:, None])[..., None]
        factor = at.noise.marginal.float() * at.continuum
        normal, velocity, cross = [], [], []
        for rows, own in few_stars(at):
            functions = self.functions[rows]
            moved = functions + _differences(functions, shift[rows])
            normal.append(moved.mT @ (moved * (factor * at.continuum)[rows, :, None]))
            velocity.append((moved.mT @ (factor * at.continuum * at.by_rv)[rows, :, None])[..., 0])
            cross.append(moved.mT @ (own * (factor * at.spectrum)[rows, :, None]))
        return Products(torch.cat(normal), torch.cat(velocity), torch.cat(cross))

    def gram(self, at: Expansion, jacobian: Tensor) -> Tensor:
        """See `Linear`; exact."""
        shift = (self._spacing() * at.rv.float()[:, None])[..., None]
        parts = []
        for rows, own in few_stars(at):
            theta = self.functions[rows] @ jacobian[rows].float()
            theta = theta + _differences(theta, shift[rows])
            parts.append(gram_of(theta.mT, rows_of(at, rows), own.mT))
        return torch.cat(parts)


def _differences(values: Tensor, spacing: Tensor) -> Tensor:
    """Central differences along the pixels times ``spacing``, of values (B, P) or (B, P, K)."""
    slope = torch.zeros_like(values)
    slope[:, 1:-1] = values[:, 2:] - values[:, :-2]
    return slope * spacing
