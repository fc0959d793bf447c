"""Spectra of a grid on the layers of the rest frame, each with a decoder of its own."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.decoder.decoder import Decoder


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
