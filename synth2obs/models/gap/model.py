r"""The gap :math:`\Delta(\lambda; y) = \sum_k D_k(\lambda)\,\varphi_k(y)` and its posterior.

What a survey sees and the morphed grid does not say, linear in a few functions of the labels or latents, by
Bayesian linear regression in every wavelength cell (Bishop 2006, sections 3.3 and 3.5).
"""

import torch
from torch import Tensor, nn

from synth2obs.models.gap.posterior import GapFit, GapPrior


class Gap(nn.Module):
    r"""A survey's gap as a function of features; zero, with the prior's variance, until it is fitted.

    Args:
        features: Number of features F.
        cells: Number of wavelength cells L.
        scale: Prior standard deviation :math:`\tau` of every D, in normalised flux.
    """

    mean: Tensor
    factor: Tensor
    scatter: Tensor

    def __init__(self, features: int, cells: int, scale: float = GapPrior.scale) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features, cells))
        self.register_buffer("factor", scale * torch.eye(features).repeat(cells, 1, 1))
        self.register_buffer("scatter", torch.zeros(cells))

    def forward(self, features: Tensor) -> Tensor:
        """Mean gap in normalised flux, shape (B, L), for features of shape (B, F)."""
        return features @ self.mean

    def variance(self, features: Tensor) -> Tensor:
        """Posterior variance of the gap, shape (B, L), without the intrinsic scatter."""
        return torch.einsum("bf,lfg->blg", features, self.factor).square().sum(-1)

    def sample(self, features: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw of the gap for all stars, shape (B, L); cells are independent."""
        noise = torch.randn(
            self.factor.shape[:2], generator=generator, dtype=self.mean.dtype, device=self.mean.device
        )
        return features @ (self.mean + torch.einsum("lfg,lg->fl", self.factor, noise))

    @torch.no_grad()
    def update(self, fit: GapFit) -> None:
        """Take over a fit.

        Raises:
            ValueError: If it has other features or cells.
        """
        if fit.mean.shape != self.mean.shape:
            raise ValueError(
                f"fit has (features, cells) = {tuple(fit.mean.shape)}, the gap {tuple(self.mean.shape)}; "
                "build the gap with the fit's numbers"
            )
        self.mean.copy_(fit.mean)
        values, vectors = torch.linalg.eigh(fit.covariance)
        self.factor.copy_(vectors * values.clamp(min=0).sqrt()[:, None, :])
        self.scatter.copy_(fit.scatter)
