"""One setting for all variants: data, training within a budget of processor time, encoding, errors."""

import math
import time
from dataclasses import dataclass
from typing import Protocol

import torch
from networks import ConvolutionalEncoder, TanhBranch
from torch import Tensor, nn

from synth2obs.core.spectra import Spectra
from synth2obs.io.grids import broaden_grid, read_raw_grid
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.decoder.encode import QUIET, encode_linear
from synth2obs.models.decoder.from_grid import coefficients, fit_branch
from synth2obs.models.decoder.manifold import Manifold
from synth2obs.training.config import TheoryConfig
from synth2obs.training.stages.theory import KERNEL_RATE

BATCH, PIXELS = 24, 800
TRAINING_STEPS = 2
"""Gauss–Newton steps while a variant is trained; errors are measured with the library's number."""


@dataclass(frozen=True)
class Data:
    """Spectra of a grid: rows to train on and rows held out, shape (N, L), and the step of the grid in ln λ."""

    train: Tensor
    held_out: Tensor
    wavelength: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean training spectrum, shape (L,)."""
        return self.train.mean(0)


@dataclass(frozen=True)
class Sizes:
    """Latents D, trunk functions K, hidden units of networks."""

    latent: int = 32
    rank: int = 128
    hidden: int = 128


def load(path: str, start: float, stop: float, power: float = 0.0, most: int = 0) -> Data:
    """A shard of a grid, or a raw grid broadened to a resolving power > 0; a fifth is held out.

    With ``most`` > 0 so many are trained on; those held out are the same.
    """
    spectra = (
        _broadened(path, start, stop, power) if power else cut_wavelengths(read_shard(path), start, stop)
    )
    flux = torch.from_numpy(spectra.flux).float()
    order = torch.randperm(len(flux), generator=torch.Generator().manual_seed(0))
    count = len(flux) // 5
    rest = order[count : count + most if most else None]
    return Data(flux[rest], flux[order[:count]], torch.from_numpy(spectra.wavelength))


def _broadened(path: str, start: float, stop: float, power: float) -> Spectra:
    return broaden_grid(read_raw_grid(path), start=start, stop=stop, resolving_power=power, step=0.45 / power)


def components(data: Data, count: int, *, whiten: bool = True) -> Tensor:
    """First singular vectors of the training spectra, shape (L, count), times the standard deviations along them."""
    _, singular, vectors = torch.linalg.svd((data.train - data.mean).double(), full_matrices=False)
    scale = singular / math.sqrt(len(data.train)) if whiten else torch.ones_like(singular)
    return (vectors[:count].T * scale[:count]).float()


class Coder(Protocol):
    """What is compared: residuals about the mean spectrum → latents → residuals."""

    def encode(self, residual: Tensor, ivar: Tensor) -> Tensor:
        """Latents, shape (B, D), of residuals and inverse variances of shape (B, L)."""

    def decode(self, u: Tensor) -> Tensor:
        """Residuals, shape (B, L)."""


class Separable(nn.Module):
    """A trunk and a branch with one of the two steps from the origin."""

    def __init__(self, trunk: nn.Module, branch: nn.Module, gradient: str = "gauss-newton") -> None:
        super().__init__()
        self.trunk, self.branch, self.gradient = trunk, branch, gradient

    def encode(self, residual: Tensor, ivar: Tensor) -> Tensor:
        return encode_linear(self.branch, self.trunk.table(), residual, ivar, self.gradient)

    def decode(self, u: Tensor) -> Tensor:
        return self.branch(u) @ self.trunk.table().T

    def loss(self, clean: Tensor, noisy: Tensor, ivar: Tensor, pixels: Tensor) -> Tensor:
        """Misfit to the clean spectrum, in units of 1 % squared, and a thousandth of |u|²."""
        basis = self.trunk.table()
        if self.gradient != "published":  # whose step is a sum over all pixels
            basis, clean, noisy, ivar = basis[pixels], clean[:, pixels], noisy[:, pixels], ivar[:, pixels]
        u = encode_linear(self.branch, basis, noisy, ivar, self.gradient, TRAINING_STEPS)
        misfit = (self.branch(u) @ basis.T - clean).square().mean()
        return misfit / 1e-4 + (0.0 if self.gradient == "published" else 1e-3) * u.square().mean()


class Amortised(Separable):
    """The same decoder behind an encoder network."""

    def __init__(self, trunk: nn.Module, branch: TanhBranch, samples: int) -> None:
        super().__init__(trunk, branch)
        self.encoder = ConvolutionalEncoder(samples, branch.skip.shape[1])

    def encode(self, residual: Tensor, ivar: Tensor) -> Tensor:
        return self.encoder(residual, ivar)

    def loss(self, clean: Tensor, noisy: Tensor, ivar: Tensor, pixels: Tensor) -> Tensor:
        return (self.decode(self.encode(noisy, ivar)) - clean).square().mean() / 1e-4


def random_noise(shape: torch.Size, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Inverse variances for S/N 50–5000 with 0–70 % of pixels missing, and noise to match."""
    snr = 50.0 * 100.0 ** torch.rand(shape[0], 1, generator=random)
    missing = 0.7 * torch.rand(shape[0], 1, generator=random)
    mask = torch.rand(shape, generator=random) >= missing
    return mask * snr.square(), torch.randn(shape, generator=random) / snr


def descend(model: Separable, data: Data, budget: float, rate: float, trunk_rate: float) -> int:
    """Adam on masked, noisy training spectra until the budget of processor seconds is spent; the number of steps."""
    own = [p for name, p in model.named_parameters() if not name.startswith("trunk")]
    groups = [{"params": own}, {"params": list(model.trunk.parameters())}]
    optimizer, random = torch.optim.Adam(groups), torch.Generator().manual_seed(1)
    residual, began, steps = data.train - data.mean, time.process_time(), 0
    while (spent := (time.process_time() - began) / budget) < 1.0:
        for group, own_rate in zip(optimizer.param_groups, (rate, trunk_rate), strict=True):
            group["lr"] = own_rate * 0.5 * (1.0 + math.cos(math.pi * spent))
        clean = residual[torch.randint(len(residual), (BATCH,), generator=random)]
        ivar, noise = random_noise(clean.shape, random)
        pixels = torch.randperm(clean.shape[1], generator=random)[:PIXELS]
        optimizer.zero_grad()
        model.loss(clean, clean + noise, ivar, pixels).backward()
        optimizer.step()
        steps += 1
    return steps


def latent_variables(data: Data, sizes: Sizes, steps: int) -> Decoder:
    """The library's decoder, trained as its theory stage does."""
    wavelength = data.wavelength
    decoder = Decoder(
        wavelength, 1e-5 * wavelength, latent=sizes.latent, rank=sizes.rank, hidden=len(data.train)
    )
    decoder.start_from(data.train)
    manifold = Manifold(coefficients(data.train - decoder.mean), sizes.latent)
    optimizer = torch.optim.Adam([{"params": [p]} for p in manifold.parameters()])
    for index in range(steps):
        for group, factor in zip(optimizer.param_groups, (1.0, KERNEL_RATE), strict=True):
            group["lr"] = (
                factor * TheoryConfig().learning_rate * 0.5 * (1.0 + math.cos(math.pi * index / steps))
            )
        optimizer.zero_grad()
        manifold()[0].backward()
        optimizer.step()
    fit_branch(decoder, manifold, data.train, torch.ones(len(data.train), dtype=torch.bool))
    return decoder.requires_grad_(False)


@torch.no_grad()
def error(coder: Coder, data: Data, missing: float = 0.0, snr: float = math.inf) -> float:
    """Rms error on held-out spectra against their clean selves, a share of pixels missing, at a signal to noise."""
    random = torch.Generator().manual_seed(2)
    residual = data.held_out - data.mean
    mask = torch.rand(residual.shape, generator=random) >= missing
    noise = torch.randn(residual.shape, generator=random) / snr
    ivar = mask * min(snr, 1.0 / QUIET) ** 2
    parts = zip((residual + noise).split(32), ivar.split(32), strict=True)
    decoded = torch.cat([coder.decode(coder.encode(noisy, weight)) for noisy, weight in parts])
    return (decoded - residual).square().mean().sqrt().item()
