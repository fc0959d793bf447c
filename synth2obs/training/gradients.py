"""What a grid's gradient spectra say of latents."""

import numpy as np
import torch
from torch import Tensor

from synth2obs.models.contracts import Differences
from synth2obs.models.decoder.encode import encode_flux
from synth2obs.training.state import State


@torch.no_grad()
def latent_differences(state: State) -> Differences | None:
    """Latents at both ends of every gradient spectrum, subtracted; None if no spectrum to train on has any.

    A central difference f₊ − f₋ is exact. Both ends are encoded as f ± (f₊ − f₋) / 2; what that leaves out is even in
    the step and cancels in their difference.
    """
    found, grid = state.domains.grid.spectra.gradients, state.domains.grid
    if found is None or not bool((own := ~grid.held_out[found.index]).any()):
        return None
    rows, decoder = found.index[own], state.bridge.decoder
    base = state.flux[torch.from_numpy(rows).long()]
    ends: list[list[Tensor]] = [[], [], []]
    for column, name in enumerate(state.bridge.labels.names):
        if name in found.values:
            half = torch.from_numpy(found.values[name][own] * found.steps[name]).float()
            change = encode_flux(decoder, base + half) - encode_flux(decoder, base - half)
            step = found.steps[name] * np.eye(grid.values.shape[1])[column]
            moved = (
                state.bridge.scale(torch.from_numpy(grid.values[rows] + sign * step)) for sign in (1, -1)
            )
            for group, part in zip(ends, (*moved, change.double()), strict=True):
                group.append(part)
    return Differences(*(torch.cat(group) for group in ends))
