"""Theory on the grid itself: latents of its spectra, and errors on those that took no part."""

import torch
from torch import Tensor

from synth2obs.models.decoder.encode import encode_flux
from synth2obs.models.decoder.from_grid import pca_residual, rms_of
from synth2obs.models.decoder.parts import Part
from synth2obs.training.state import State


@torch.no_grad()
def grid_latents(state: State) -> Tensor:
    """Latents of all grid spectra, shape (N, D), by the first layer: it has all of them."""
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
    for layer, part in zip(bridge.layers, state.parts(), strict=True):
        own = held[part.rows]
        if bool(own.any()):
            rows = part.rows[own]
            error = bridge.theory_error_on(layer)
            error.calibrate(part.decoder, bridge.emulator, state.x[rows], part.flux[own], latents[rows])


@torch.no_grad()
def held_out_errors(state: State, latents: Tensor) -> dict[str, float]:
    """Errors of decoder and emulator on grid spectra that took no part, with principal components beside them.

    Args:
        state: Training.
        latents: Of all grid spectra, from `grid_latents`.
    """
    found: dict[str, float] = {}
    for layer, part in zip(state.bridge.layers, state.parts(), strict=True):
        errors = _errors(state, part, latents)
        found |= {f"{layer}_{key}" if layer else key: value for key, value in errors.items()}
    return found


def _errors(state: State, part: Part, latents: Tensor) -> dict[str, float]:
    """The same on one layer; nothing where no spectrum of it is held out."""
    held = ~state.kept[part.rows]
    if not bool(held.any()):
        return {}
    rows, flux = part.rows[held], part.flux[held]
    decoded = part.decoder(latents[rows]) - flux
    emulated = part.decoder(state.bridge.emulator(state.x[rows]).float()) - flux
    return {
        "rms": rms_of(decoded),
        "median": decoded.abs().median().item(),
        "emulator_rms": rms_of(emulated),
        "pca_rms": rms_of(pca_residual(part.flux[~held], flux, part.decoder.latent)),
    }
