"""Spectra of a grid on several layers of the rest frame, each with a decoder of its own and one latent for all."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.encode import QUIET, encode_reduced

BATCH = 64


@shaped
class Part(NamedTuple):
    """What a grid has on one layer.

    Args:
        decoder: Of the layer.
        flux: Of the spectra that were computed there, on its rest grid.
        rows: Their numbers among all spectra of the grid, increasing.
    """

    decoder: Decoder
    flux: Float[Tensor, "some cells"]
    rows: Int[Tensor, " some"]

    def take(self, wanted: Bool[Tensor, " stars"]) -> "Part":
        """Of the wanted spectra, numbered among these alone."""
        own = wanted[self.rows]
        return Part(self.decoder, self.flux[own], (wanted.long().cumsum(0) - 1)[self.rows[own]])


class Joined:
    """Branches of several decoders as one: coefficients of all, one after the other."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self.branches = branches
        self.skip = torch.cat([branch.skip for branch in branches])

    def __call__(self, u: Tensor) -> Tensor:
        """Coefficients, shape (B, ΣK), of latents of shape (B, D)."""
        return torch.cat([branch(u) for branch in self.branches], dim=1)

    def jacobian(self, u: Tensor) -> Tensor:
        """∂g/∂u, shape (B, ΣK, D)."""
        return torch.cat([branch.jacobian(u) for branch in self.branches], dim=1)


@shaped
@torch.no_grad()
def encode_parts(parts: Sequence[Part], count: int) -> Float[Tensor, "stars latents"]:
    """Latents of the spectra of a grid, each from all layers that it was computed on.

    Args:
        parts: One of each layer.
        count: Spectra of the grid; those on no layer are at the origin.
    """
    seen = torch.zeros(count, len(parts), dtype=torch.bool)
    for column, part in enumerate(parts):
        seen[part.rows, column] = True
    latents = torch.zeros(count, parts[0].decoder.latent)
    for pattern in seen.unique(dim=0):
        if bool(pattern.any()):
            rows = (seen == pattern).all(1)
            latents[rows] = _encoded([part for part, own in zip(parts, pattern, strict=True) if own], rows)
    return latents


@shaped
def encode_flux(decoder: Decoder, flux: Float[Tensor, "stars cells"]) -> Float[Tensor, "stars latents"]:
    """Latents of complete spectra on one rest grid with errors of `QUIET`, shape (N, L) → (N, D)."""
    return encode_parts([Part(decoder, flux, torch.arange(len(flux)))], len(flux))


def _encoded(parts: Sequence[Part], wanted: Tensor) -> Tensor:
    """Latents of spectra that all of these layers have."""
    bases = [part.decoder.trunk.table().double() / QUIET for part in parts]
    normal = torch.block_diag(*(basis.T @ basis for basis in bases))
    offsets = [part.flux[wanted[part.rows]] - part.decoder.mean for part in parts]
    branch = Joined([part.decoder.branch for part in parts]) if len(parts) > 1 else parts[0].decoder.branch
    found = []
    for rows in torch.arange(int(wanted.sum())).split(BATCH):
        moments = [
            offset[rows].double() @ basis / QUIET for offset, basis in zip(offsets, bases, strict=True)
        ]
        found.append(encode_reduced(branch, normal.expand(len(rows), -1, -1), torch.cat(moments, dim=1)))
    return torch.cat(found).float()
