"""What a grid's gradient spectra say of flux and of latents."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Differences
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.encode import encode_flux
from synth2obs.training.state import State


@shaped
class Ends(NamedTuple):
    """Both ends of R gradient spectra: scaled labels, and flux but for what is even in the step."""

    upper: Float64[Tensor, "pairs labels"]
    lower: Float64[Tensor, "pairs labels"]
    upper_flux: Float[Tensor, "pairs cells"]
    lower_flux: Float[Tensor, "pairs cells"]

    @property
    def flux(self) -> Float[Tensor, "ends cells"]:
        """Of all ends, shape (2R, L)."""
        return torch.cat([self.upper_flux, self.lower_flux])

    @property
    def change(self) -> Float[Tensor, "pairs cells"]:
        """Of flux from the lower to the upper ends, shape (R, L): exact."""
        return self.upper_flux - self.lower_flux

    def differences(self, decoder: Decoder) -> Differences:
        """The same of latents; what the ends' flux leaves out cancels in their difference."""
        change = encode_flux(decoder, self.upper_flux) - encode_flux(decoder, self.lower_flux)
        return Differences(self.upper, self.lower, change.double())


@torch.no_grad()
def gradient_ends(state: State) -> Ends | None:
    """Of every gradient spectrum of a spectrum to train on; None if there is none.

    A central difference f₊ − f₋ is exact; the ends are taken to be f ± (f₊ − f₋) / 2.
    """
    found, grid = state.domains.grid.spectra.gradients, state.domains.grid
    if found is None or not bool((own := ~grid.held_out[found.index]).any()):
        return None
    rows, parts = found.index[own], []
    base = state.flux[torch.from_numpy(rows).long()]
    for column, name in enumerate(state.bridge.labels.names):
        if name in found.values:
            half = torch.from_numpy(found.values[name][own] * found.steps[name]).float()
            step = found.steps[name] * np.eye(grid.values.shape[1])[column]
            upper, lower = (
                state.bridge.scale(torch.from_numpy(grid.values[rows] + sign * step)) for sign in (1, -1)
            )
            parts.append((upper, lower, base + half, base - half))
    return Ends(*(torch.cat(group) for group in zip(*parts, strict=True)))
