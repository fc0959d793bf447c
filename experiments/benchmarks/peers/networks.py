"""Networks rebuilt at their published sizes with random weights: what one pass costs, not what it knows."""

import math

import torch
from torch import Tensor, nn

CYCLE_PIXELS = 7167


def _down(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(inputs, outputs, 7, stride), nn.LeakyReLU(0.1))


def _up(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose1d(inputs, outputs, 7, stride), nn.LeakyReLU(0.1))


class CycleStarNet(nn.Module):
    """Synthetic spectra to observed ones (O'Briain et al. 2021, ApJ 906, 130), (B, 7167) → (B, 7167), at rest.

    Encoder of the synthetic domain 1 → 32 → 64 channels, shared encoder 128 → 256 → 512 → 25 (a latent of 25 × 24),
    and the same backwards to the observed domain; kernels of 7, strides 4, 4, 4, 2, 2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(_down(1, 32, 4), _down(32, 64, 4))
        self.shared_encoder = nn.Sequential(
            _down(64, 128, 4),
            _down(128, 256, 2),
            _down(256, 512, 2),
            nn.Conv1d(512, 25, 1),
            nn.InstanceNorm1d(25),
        )
        self.shared_decoder = nn.Sequential(
            nn.ConvTranspose1d(25, 512, 1),
            nn.LeakyReLU(0.1),
            _up(512, 256, 2),
            _up(256, 128, 2),
            _up(128, 64, 4),
        )
        self.decoder = nn.Sequential(_up(64, 32, 4), nn.ConvTranspose1d(32, 1, 7, 4))

    def forward(self, flux: Tensor) -> Tensor:
        """Observed pixels of synthetic ones."""
        latent = self.shared_encoder(self.encoder(flux[:, None]))
        seen: Tensor = self.decoder(self.shared_decoder(latent))
        return seen[:, 0]


class Sine(nn.Module):
    """A layer of a SIREN, sin(ω₀ (W x + b)) (Sitzmann et al. 2020, NeurIPS 33)."""

    def __init__(self, inputs: int, outputs: int, *, first: bool = False, frequency: float = 30.0) -> None:
        super().__init__()
        self.linear, self.frequency = nn.Linear(inputs, outputs), frequency
        bound = 1.0 / inputs if first else math.sqrt(6.0 / inputs) / frequency
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) → (..., outputs)."""
        return torch.sin(self.frequency * self.linear(x))


class SirenGon(nn.Module):
    """Gradient Origin Network with a SIREN of 256 × 4 over pixels (Bond-Taylor & Willcocks 2021, arXiv:2007.02798).

    Args:
        pixels: Number of pixels P; their coordinate goes from −1 to 1.
        latent: Length of the latent, which is joined to every pixel's coordinate.
        width, depth: Of the SIREN.
    """

    def __init__(self, pixels: int, latent: int, width: int = 256, depth: int = 4) -> None:
        super().__init__()
        self.register_buffer("coordinate", torch.linspace(-1.0, 1.0, pixels)[:, None], persistent=False)
        inner = [Sine(width, width) for _ in range(depth - 1)]
        self.net = nn.Sequential(Sine(1 + latent, width, first=True), *inner, nn.Linear(width, 1))
        self.latent = latent

    def forward(self, u: Tensor) -> Tensor:
        """Latents (B, D) to pixels (B, P)."""
        coordinate = self.get_buffer("coordinate")
        shape = len(u), len(coordinate)
        joined = torch.cat([coordinate.expand(*shape, 1), u[:, None].expand(*shape, self.latent)], dim=-1)
        seen: Tensor = self.net(joined)
        return seen[..., 0]

    def encode(self, flux: Tensor, *, train: bool = False) -> Tensor:
        """Minus the gradient of the squared error at the origin, (B, P) → (B, D)."""
        origin = flux.new_zeros(len(flux), self.latent, requires_grad=True)
        loss = (self(origin) - flux).square().sum(1).mean()
        return -torch.autograd.grad(loss, origin, create_graph=train)[0]

    def train_step(self, flux: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One step through the gradient step: derivatives of second order."""
        optimizer.zero_grad()
        (self(self.encode(flux, train=True)) - flux).square().sum(1).mean().backward()
        optimizer.step()
