"""Closed-form emulators: of the decoder's latents, of components, and of flux block by block."""

import torch
from data import Data

from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.contracts import Differences
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.encode import encode_flux
from synth2obs.models.decoder.from_grid import coefficients, fit_branch, latent_weight, order_latents
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.models.emulator import EMULATORS
from synth2obs.training.stages.theory import GRADIENTS, KERNEL_RATE, TheoryConfig

BLOCK = 200
"""Samples of a block."""


def decoder_of(data: Data, latent: int = 32, rank: int = 128) -> tuple[Decoder, torch.Tensor]:
    """The library's decoder of the training spectra, and their latents."""
    flux, config = data.flux[data.train].float(), TheoryConfig()
    decoder = Decoder(
        data.wavelength, data.sigma, latent=latent, rank=min(rank, len(flux) - 1), hidden=max(512, len(flux))
    )
    ends = None
    if data.pairs is not None:
        half = 0.5 * data.pairs.change
        ends = torch.cat([data.pairs.base + half, data.pairs.base - half]).float()
    decoder.start_from(flux, also=None if ends is None else GRADIENTS * data.pairs.change.float())
    manifold = Manifold(coefficients(flux - decoder.mean), latent)
    optimizer = torch.optim.Adam([{"params": [p]} for p in manifold.parameters()])
    for step in range(config.steps):
        set_cosine_rate(optimizer, config.learning_rate, step, config.steps)
        optimizer.param_groups[1]["lr"] *= KERNEL_RATE
        optimizer.zero_grad()
        manifold()[0].backward()
        optimizer.step()
    fit_branch(decoder, manifold, flux, torch.ones(len(flux), dtype=torch.bool), ends)
    return decoder, order_latents(decoder, encode_flux(decoder, flux))


def attached(emulator, data: Data):
    """An emulator that knows the labels' names, if it wants to."""
    if hasattr(emulator, "attach"):
        emulator.attach(data.space, data.scale)
    return emulator


def process_on_latents(data: Data, name: str = "process"):
    """Decoder, and an emulator of the registry from labels to its latents."""
    decoder, latents = decoder_of(data)
    emulator = attached(EMULATORS[name](data.x.shape[1], decoder.latent, len(latents)), data)
    differences = None
    if data.pairs is not None:
        half = 0.5 * data.pairs.change
        ends = [encode_flux(decoder, (data.pairs.base + sign * half).float()) for sign in (1, -1)]
        differences = Differences(data.pairs.upper, data.pairs.lower, (ends[0] - ends[1]).double())
    emulator.fit(data.x[data.train], latents.double(), latent_weight(decoder, latents), differences)
    return decoder, emulator


def on_latents(name: str):
    """An emulator of the registry, labels → latents → flux."""

    def train(data: Data, budget: float):
        decoder, emulator = process_on_latents(data, name)
        return lambda x: torch.cat(
            [decoder(emulator(part).float()).double() for part in x.split(64)]
        ).detach()

    return train


def on_components(name: str, count: int = 200):
    """An emulator of the registry, labels → components of flux."""

    def train(data: Data, budget: float):
        flux = data.flux[data.train]
        mean, vectors = flux.mean(0), _components(flux, count)
        emulator = attached(EMULATORS[name](data.x.shape[1], len(vectors), len(flux)), data)
        emulator.fit(
            data.x[data.train],
            (flux - mean) @ vectors.T,
            torch.ones(len(vectors)).double(),
            _changes(data, vectors),
        )
        return lambda x: mean + emulator(x) @ vectors

    return train


def by_blocks(data: Data, budget: float):
    """A Gaussian process for every block of wavelengths, each begun with its neighbour's kernel."""
    flux, parts, kernel = data.flux[data.train], [], None
    blocks = torch.arange(flux.shape[1]).chunk(max(1, flux.shape[1] // BLOCK))
    for block in blocks:
        own = flux[:, block]
        emulator = attached(EMULATORS["process"](data.x.shape[1], len(block), len(flux)), data)
        if kernel is not None:
            emulator.kernel.load_state_dict(kernel)
        pairs = data.pairs
        changes = None if pairs is None else Differences(pairs.upper, pairs.lower, pairs.change[:, block])
        emulator.fit(data.x[data.train], own, torch.ones(len(block)).double(), changes)
        kernel = emulator.kernel.state_dict()
        parts.append(emulator)
    return lambda x: torch.cat([part(x) for part in parts], dim=1)


def _components(flux: torch.Tensor, count: int) -> torch.Tensor:
    return torch.linalg.svd(flux - flux.mean(0), full_matrices=False)[2][:count]


def _changes(data: Data, vectors: torch.Tensor) -> Differences | None:
    pairs = data.pairs
    return None if pairs is None else Differences(pairs.upper, pairs.lower, pairs.change @ vectors.T)
