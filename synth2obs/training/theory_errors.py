"""Theory on the grid itself: latents of its spectra, and errors on those that took no part."""

import torch
from torch import Tensor

from synth2obs.models.decoder.encode import encode_flux
from synth2obs.models.decoder.from_grid import pca_residual, rms_of
from synth2obs.training.state import State


@torch.no_grad()
def grid_latents(state: State) -> Tensor:
    """Latents of all grid spectra, shape (N, D)."""
    return encode_flux(state.bridge.decoder, state.flux)


def trust(state: State, latents: Tensor, weight: Tensor) -> None:
    """Teach a bridge how far its theory can be trusted: errors from held-out spectra, and distances from the grid.

    Args:
        state: Training.
        latents: Of all grid spectra, shape (N, D).
        weight: Flux that one unit of each latent moves, shape (D,).
    """
    bridge, held = state.bridge, ~state.kept
    bridge.distance.learn(bridge.emulator, weight.double())
    if bool(held.any()):
        rows = state.x[held], state.flux[held], latents[held]
        bridge.theory_error.calibrate(bridge.decoder, bridge.emulator, *rows)


@torch.no_grad()
def held_out_errors(state: State, latents: Tensor) -> dict[str, float]:
    """Errors of decoder and emulator on grid spectra that took no part, with principal components beside them.

    Args:
        state: Training.
        latents: Of all grid spectra, from `grid_latents`.
    """
    bridge, flux, held = state.bridge, state.flux, ~state.kept
    decoded = bridge.decoder(latents[held]) - flux[held]
    emulated = bridge.decoder(bridge.emulator(state.x[held]).float()) - flux[held]
    return {
        "rms": rms_of(decoded),
        "median": decoded.abs().median().item(),
        "emulator_rms": rms_of(emulated),
        "pca_rms": rms_of(pca_residual(flux[state.kept], flux[held], bridge.decoder.latent)),
    }
