"""Spectra of a grid on the layers of the rest frame, each with a decoder of its own, and their latents."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from synth2obs.core.shapes import shaped
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
    flux: Float[Tensor, "chosen cells"]
    rows: Int[Tensor, " chosen"]

    def take(self, wanted: Bool[Tensor, " stars"]) -> "Part":
        """Of the wanted spectra, numbered among these alone."""
        own = wanted[self.rows]
        return Part(self.decoder, self.flux[own], (wanted.long().cumsum(0) - 1)[self.rows[own]])


@shaped
@torch.no_grad()
def encode_flux(decoder: Decoder, flux: Float[Tensor, "stars cells"]) -> Float[Tensor, "stars latents"]:
    """Latents of complete spectra on one rest grid with errors of `QUIET`, shape (N, L) → (N, D)."""
    basis = decoder.trunk.table().double() / QUIET
    normal = basis.T @ basis
    parts = [
        encode_reduced(decoder.branch, normal.expand(len(part), -1, -1), part.double() @ basis / QUIET)
        for part in (flux - decoder.mean).split(BATCH)
    ]
    return torch.cat(parts).float()
