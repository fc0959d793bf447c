"""Two autoencoders that share their middle, and a critic a domain: unpaired translation of spectra.

The scheme is that of UNIT (Liu, Breuel & Kautz 2017, arXiv:1703.00848), which Cycle-StarNet (O'Briain et al. 2021,
arXiv:2007.03109) brought to spectra: what two domains have in common is a latent that layers of both share, what they
have not is in the layers of each. Theirs convolves; spectra of one survey are aligned in wavelength, and some hundred
of them cannot teach a convolution which line is at which place, so that here a layer sees all pixels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SYNTHETIC, OBSERVED = 0, 1
"""The two domains."""

SLOPE = 0.2
"""Of a leaky rectifier below zero."""


class Refinement(nn.Module):
    """c + MLP(c), the identity until it is taught.

    Args:
        size: Length of c.
        hidden: Of its hidden layer.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(size, hidden), nn.Linear(hidden, size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, c: Tensor) -> Tensor:
        """Shape (B, size) → the same."""
        refined: Tensor = c + self.last(functional.leaky_relu(self.first(c), SLOPE))
        return refined


class Translator(nn.Module):
    """Encoders and decoders of two domains; the same projection for both until they are taught.

    Args:
        mean: That the pixels of both domains are counted from, shape (P,).
        axes: Orthonormal directions in pixels that the latent begins with, shape (D, P).
        scale: Standard deviation of spectra along each, shape (D,).
        hidden: Width of hidden layers.
    """

    mean: Tensor

    def __init__(self, mean: Tensor, axes: Tensor, scale: Tensor, hidden: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        size = len(axes)
        self.inward = nn.ModuleList(_linear(axes / scale[:, None]) for _ in range(2))
        self.outward = nn.ModuleList(_linear((axes * scale[:, None]).T) for _ in range(2))
        self.enter = nn.ModuleList(Refinement(size, hidden) for _ in range(2))
        self.leave = nn.ModuleList(Refinement(size, hidden) for _ in range(2))
        self.last, self.first = Refinement(size, hidden), Refinement(size, hidden)

    def encode(self, domain: int, flux: Tensor, good: Tensor) -> Tensor:
        """Latents (B, D) of normalised pixels (B, P); masked pixels say nothing."""
        pixels = torch.where(good, flux - self.mean, 0.0)
        latent: Tensor = self.last(self.enter[domain](self.inward[domain](pixels)))
        return latent

    def decode(self, domain: int, latent: Tensor) -> Tensor:
        """Normalised pixels (B, P) of latents (B, D)."""
        pixels: Tensor = self.mean + self.outward[domain](self.leave[domain](self.first(latent)))
        return pixels

    def translate(self, source: int, target: int, flux: Tensor, good: Tensor) -> Tensor:
        """Pixels of one domain as the other would have them, shape (B, P)."""
        return self.decode(target, self.encode(source, flux, good))


def _linear(weight: Tensor) -> nn.Linear:
    """A linear layer of given weights and no offset, to be taught."""
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.zero_()
    return layer


class PairCritic(nn.Module):
    """Tells spectra of a domain from translated ones, latent and pixels together.

    Args:
        pixels, latent: Their numbers.
        hidden: Width of the first hidden layer; the second has half.
        unit: Typical deviation of a pixel from the mean.
    """

    def __init__(self, pixels: int, latent: int, hidden: int, unit: float) -> None:
        super().__init__()
        self.unit, half = unit, max(1, hidden // 2)
        self.layers = nn.Sequential(
            nn.Linear(pixels + latent, hidden),
            nn.LeakyReLU(SLOPE),
            nn.Linear(hidden, half),
            nn.LeakyReLU(SLOPE),
            nn.Linear(half, 1),
        )

    def forward(self, change: Tensor, latent: Tensor, good: Tensor) -> Tensor:
        """Logits (B,), higher for a domain's own, of pixels less the mean (B, P) and latents (B, D)."""
        pixels = torch.where(good, change / self.unit, 0.0)
        scores: Tensor = self.layers(torch.cat([pixels, latent], dim=1))[:, 0]
        return scores


def told_apart(own: Tensor, translated: Tensor) -> Tensor:
    """Cross entropy of a critic's logits."""
    yes, no = torch.ones_like(own), torch.zeros_like(translated)
    both = functional.binary_cross_entropy_with_logits
    return both(own, yes) + both(translated, no)


def fooled(translated: Tensor) -> Tensor:
    """Cross entropy that translated spectra strive to lower."""
    return functional.binary_cross_entropy_with_logits(translated, torch.ones_like(translated))
