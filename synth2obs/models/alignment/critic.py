"""A small critic of whitened residuals, its losses, and a gentler distance between two samples."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from synth2obs.core.shapes import shaped


@shaped
class Critic(nn.Module):
    """Scores whether whitened residuals look like those of real spectra.

    Spectrally normalised convolutions (Miyato et al. 2018, arXiv:1802.05957) over native pixels, then the
    mean and the root mean square of every channel over the pixels that are not masked, then a linear score.
    Any number of pixels will do, and the value of a masked pixel is an exact no-op, as are masked pixels
    appended to a spectrum.

    Args:
        channels: Width of each convolution; all but the first halve the number of pixels.
        kernel: Odd number of pixels.
        clip: Residuals beyond this many sigma count as this many, so that a cosmic ray is no argument.
    """

    def __init__(self, channels: tuple[int, ...] = (16, 32, 32), kernel: int = 7, clip: float = 10.0) -> None:
        super().__init__()
        if kernel % 2 == 0 or not channels or not clip > 0:
            raise ValueError(
                f"need an odd kernel, channels and clip > 0 sigma, got {kernel}, {channels}, {clip}"
            )
        self.clip = clip
        widths = (2, *channels)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv1d(a, b, kernel, stride=1 + (i > 0), padding=kernel // 2))
            for i, (a, b) in enumerate(zip(widths, channels, strict=False))
        )
        self.score = spectral_norm(nn.Linear(2 * channels[-1], 1))

    def forward(self, pixels: Float[Tensor, "stars 2 pixels"]) -> Float[Tensor, " stars"]:
        """Scores, shape (B,), higher for real.

        Args:
            pixels: Shape (B, 2, P): residual times the square root of ivar, and the mask (1 good, 0 masked).
        """
        mask = (pixels[:, 1:] > 0).to(pixels.dtype)
        residual = torch.where(mask > 0, pixels[:, :1], 0.0).clamp(-self.clip, self.clip)
        x = torch.cat([residual, mask], dim=1)
        for layer in self.layers:
            stride = 1 if layer is self.layers[0] else 2
            mask = functional.max_pool1d(mask, stride, ceil_mode=True)
            x = functional.leaky_relu(layer(x), 0.2) * mask
        score: Tensor = self.score(_pool(x, mask))[:, 0]
        return score


def _pool(x: Tensor, mask: Tensor) -> Tensor:
    """Mean and root mean square over unmasked pixels, shape (B, 2C)."""
    count = mask.sum(-1).clamp(min=1.0)
    mean, square = x.sum(-1) / count, x.square().sum(-1) / count
    return torch.cat([mean, (square + 1e-6).sqrt()], dim=1)


@shaped
def critic_losses(
    critic: nn.Module, real: Float[Tensor, "stars 2 pixels"], fake: Float[Tensor, "stars2 2 pixels"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Hinge losses (Lim & Ye 2017, arXiv:1705.02894).

    Args:
        critic: Scores (B, 2, P).
        real: Whitened residuals and mask of real spectra, shape (B, 2, P).
        fake: The same of morphed grid spectra with real stars' masks and noise.

    Returns:
        The critic's loss, which does not reach the generator, and the generator's.
    """
    critic_loss = (
        functional.relu(1.0 - critic(real)).mean() + functional.relu(1.0 + critic(fake.detach())).mean()
    )
    return critic_loss, -critic(fake).mean()


@shaped
def r1_penalty(critic: nn.Module, real: Float[Tensor, "stars 2 pixels"]) -> Float[Tensor, ""]:
    """Squared slope of the critic at real spectra (Mescheder et al. 2018, arXiv:1801.04406).

    Scores are means over pixels, whose slope to one pixel falls as 1/P; the sum of squares is therefore
    multiplied by the star's good pixels, and the penalty does not depend on P.

    Args:
        critic: Scores (B, 2, P).
        real: Shape (B, 2, P).

    Returns:
        A differentiable scalar.
    """
    with torch.enable_grad():
        residual = real[:, :1].detach().requires_grad_()
        score = critic(torch.cat([residual, real[:, 1:]], dim=1)).sum()
        (slope,) = torch.autograd.grad(score, residual, create_graph=True)
    count = (real[:, 1] > 0).sum(-1).clamp(min=1)
    return (slope.square().sum((1, 2)) * count).mean()


@shaped
def sliced_energy_distance(
    a: Float[Tensor, "stars pixels"],
    b: Float[Tensor, "stars2 pixels"],
    directions: Float[Tensor, "directions pixels"],
) -> Float[Tensor, ""]:
    r"""Energy distance of two samples, averaged over one-dimensional projections.

    .. math:: 2E|x-y| - E|x-x'| - E|y-y'| = 2 \int (F_a - F_b)^2\,dz

    (Székely & Rizzo 2013, J. Stat. Plan. Inference 143, 1249), by sorting: O(K n log n). It needs no
    training and has a gradient everywhere. Two finite samples of one distribution have a positive distance.

    Args:
        a: Shape (N, P), e.g. whitened residuals with masked pixels set to 0.
        b: Shape (M, P).
        directions: Shape (K, P); scaled to unit length here.

    Returns:
        A scalar, at least 0.
    """
    axes = functional.normalize(directions, dim=1).T
    z, order = torch.cat([a @ axes, b @ axes]).sort(dim=0)
    step = torch.cat([z.new_full((len(a),), 1.0 / len(a)), z.new_full((len(b),), -1.0 / len(b))])
    difference = step[order].cumsum(0)[:-1]
    return 2.0 * (difference.square() * z.diff(dim=0)).sum(0).mean()
