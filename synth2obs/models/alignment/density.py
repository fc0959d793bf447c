"""Densities of latents."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.flow import density_flow
from synth2obs.models.alignment.settings import DensityConfig

SHRINK = 0.1
"""Share of the identity in the covariance that starts a density: there are few stars per dimension."""


@shaped
class FlowDensity(nn.Module):
    r"""A density of latents; N(0, I) at the start.

    :math:`\ln p(u) = \ln N(f(u); m, \sigma^2) + \ln|\det \partial f/\partial u|`, with m and σ of every
    dimension learned, too.

    Args:
        latent: Latent dimensions D, at least 2.
        config: Size of the flow.
    """

    def __init__(self, latent: int, config: DensityConfig | None = None) -> None:
        super().__init__()
        self.latent, self.config = latent, config or DensityConfig()
        self.flow = density_flow(latent, self.config)

    def set_affine(self, matrix: Float[Tensor, "latents latents"], shift: Float[Tensor, " latents"]) -> None:
        """Make the part of u → noise that is affine ``matrix·u + shift``; the couplings stay as they are.

        Args:
            matrix: Shape (D, D), with positive leading minors.
            shift: Shape (D,).

        Raises:
            ValueError: If the flow has no affine part, or a leading minor is not positive.
        """
        if not self.config.linear:
            raise ValueError("this density has no affine part; build it with linear = true")
        self.flow._transform._transforms[0].set(matrix, shift)

    @torch.no_grad()
    def start(self, u: Float[Tensor, "stars latents"]) -> None:
        """Give the affine part the mean and the shrunk covariance of a sample (N, D)."""
        centre = u.mean(0)
        covariance = (1 - SHRINK) * torch.cov(u.T) + SHRINK * torch.eye(u.shape[1], dtype=u.dtype)
        factor = torch.linalg.cholesky(torch.linalg.inv(covariance)).T
        self.set_affine(factor, -factor @ centre)

    def log_prob(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, " stars"]:
        """``ln p(u)``, shape (B,), for latents of shape (B, D)."""
        log_prob: Tensor = self.flow.log_prob(u)
        return log_prob

    def to_noise(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Noise of latents, shape (B, D), and ln|det|, shape (B,)."""
        noise, logabsdet = self.flow._transform(u)
        return noise, logabsdet

    def from_noise(
        self, noise: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Latents of noise, shape (B, D), and ln|det|, shape (B,)."""
        u, logabsdet = self.flow._transform.inverse(noise)
        return u, logabsdet

    def sample(self, count: int, generator: torch.Generator | None = None) -> Float[Tensor, "stars latents"]:
        """Draws, shape (count, D), reproducible for a given generator; differentiable in the parameters."""
        mean, log_sigma = self.flow._distribution.mean_, self.flow._distribution.log_std_
        noise = torch.randn(count, self.latent, generator=generator, dtype=mean.dtype, device=mean.device)
        return self.from_noise(mean + log_sigma.exp() * noise)[0]
