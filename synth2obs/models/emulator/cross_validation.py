"""Predictions of spectra that took no part in a fit, for any emulator."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Emulator


@shaped
def cross_validate(
    emulator: Emulator,
    x: Float64[Tensor, "stars labels"],
    latent: Float[Tensor, "stars latents"],
    weight: Float[Tensor, " latents"],
    folds: Sequence[Int[Tensor, "..."]],
) -> Float64[Tensor, "stars latents"]:
    """Latents predicted for spectra that were left out of the fit, shape (N, D).

    Args:
        emulator: Gives class and settings, and the modules that its ``carried`` names, if any, to start from.
        x: Scaled labels, shape (N, K), float64.
        latent: Latents of the same spectra, shape (N, D).
        weight: As for `Emulator.fit`, shape (D,).
        folds: Disjoint index tensors that cover all spectra.
    """
    predicted = torch.empty_like(latent, dtype=torch.float64)
    for fold in folds:
        keep = torch.ones(len(x), dtype=torch.bool)
        keep[fold] = False
        part = type(emulator)(x.shape[1], latent.shape[1], int(keep.sum()), emulator.config)
        for name in getattr(emulator, "carried", ()):
            getattr(part, name).load_state_dict(getattr(emulator, name).state_dict())
        part.fit(x[keep], latent[keep], weight)
        predicted[fold] = part(x[fold])
    return predicted
