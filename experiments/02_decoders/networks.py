"""What the variants are made of: trunks as functions of wavelength, a network as branch, a network as encoder."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from synth2obs.models.decoder.trunk import Trunk


class TanhBranch(nn.Module):
    r"""Coefficients by a network with one hidden layer: :math:`g(u) = W u + V \tanh(A u + b)`, V = 0 at the start."""

    def __init__(self, latent: int, rank: int, hidden: int) -> None:
        super().__init__()
        self.skip = nn.Parameter(torch.eye(rank, latent))
        self.inner = nn.Linear(latent, hidden)
        self.outer = nn.Linear(hidden, rank, bias=False)
        nn.init.zeros_(self.outer.weight)

    def forward(self, u: Tensor) -> Tensor:
        """Coefficients, shape (B, K), of latents of shape (B, D)."""
        return u @ self.skip.T + self.outer(torch.tanh(self.inner(u)))

    def jacobian(self, u: Tensor) -> Tensor:
        """∂g/∂u, shape (B, K, D)."""
        slope = 1.0 - torch.tanh(self.inner(u)).square()
        return self.skip + torch.einsum("kh,bh,hd->bkd", self.outer.weight, slope, self.inner.weight)


class TableTrunk(Trunk):
    """The library's trunk, from singular vectors (L, K) or, without them, at random."""

    def __init__(self, samples: int, rank: int, vectors: Tensor | None = None) -> None:
        super().__init__(samples, rank)
        if vectors is None:
            nn.init.normal_(self.fine, std=0.1)
        else:
            self.fine.data[:, : vectors.shape[1]] = vectors


class NetworkTrunk(nn.Module):
    """Functions of wavelength by a network of its coordinate in [−1, 1]; subclasses say how it begins."""

    def __init__(self, samples: int, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("coordinate", torch.linspace(-1, 1, samples)[:, None], persistent=False)
        self.network = network

    def table(self) -> Tensor:
        """The basis on the rest grid, shape (L, K)."""
        return self.network(self.coordinate)


class Sine(nn.Module):
    """One layer of a SIREN: sin(ω₀(W x + b)), initialised as Sitzmann et al. 2020 (arXiv:2006.09661) prescribe."""

    def __init__(self, inputs: int, outputs: int, omega: float, *, first: bool = False) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(inputs, outputs), omega
        bound = 1.0 / inputs if first else math.sqrt(6.0 / inputs) / omega
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.omega * self.linear(x))


def siren_trunk(samples: int, rank: int, width: int = 256, layers: int = 4) -> NetworkTrunk:
    """The network of the published Gradient Origin Networks (256 wide, 4 hidden layers, ω₀ = 30), as a trunk.

    The first layer's frequency reaches a third of the samples' own, without which it draws no line at all.
    """
    first = Sine(1, width, samples / 3.0, first=True)
    inner = [Sine(width, width, 30.0) for _ in range(layers - 1)]
    return NetworkTrunk(samples, nn.Sequential(first, *inner, nn.Linear(width, rank)))


class Waves(nn.Module):
    """Sines and cosines of fixed random frequencies (Tancik et al. 2020, arXiv:2006.10739)."""

    def __init__(self, features: int, highest: float) -> None:
        super().__init__()
        self.register_buffer("frequency", highest * torch.rand(1, features))

    def forward(self, x: Tensor) -> Tensor:
        phase = x @ self.frequency
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


def fourier_trunk(samples: int, rank: int, features: int = 256, width: int = 256) -> NetworkTrunk:
    """Random Fourier features up to the samples' own frequency through two hidden layers."""
    waves = Waves(features, math.pi * samples / 2.0)
    hidden = [nn.Linear(2 * features, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()]
    return NetworkTrunk(samples, nn.Sequential(waves, *hidden, nn.Linear(width, rank)))


class ConvolutionalEncoder(nn.Module):
    """Spectrum and errors → latent by strided convolutions, widths as in spender (Melchior et al. 2023).

    Residuals about the mean spectrum enter weighted by their errors, with the errors beside them; a masked pixel is 0.
    """

    def __init__(self, samples: int, latent: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, size in ((2, 32, 5), (32, 64, 11), (64, 128, 21)):
            layers += [
                nn.Conv1d(inputs, outputs, size, padding=size // 2),
                nn.PReLU(outputs),
                nn.MaxPool1d(4),
            ]
        self.convolutions = nn.Sequential(*layers)
        count = 128 * (samples // 64)
        self.head = nn.Sequential(nn.Linear(count, 128), nn.PReLU(128), nn.Linear(128, latent))

    def forward(self, residual: Tensor, ivar: Tensor) -> Tensor:
        """Latents, shape (B, D), of residuals and inverse variances of shape (B, L)."""
        share = ivar / (ivar + 100.0**2)
        seen = torch.stack([10.0 * residual * share, share], dim=1)
        return self.head(self.convolutions(seen).flatten(1))


TRUNKS: dict[str, Callable[[int, int], nn.Module]] = {
    "random table": TableTrunk,
    "SIREN": siren_trunk,
    "Fourier": fourier_trunk,
}
