"""Quadratic regression of latents on labels, after The Cannon."""

from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Float64
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Differences
from synth2obs.models.emulator.posterior import left_out_spread, open_variance
from synth2obs.models.emulator.response import relevance
from synth2obs.models.emulator.settings import EmulatorConfig


class QuadraticEmulatorConfig(EmulatorConfig):
    """Settings of the quadratic emulator."""

    name: Literal["quadratic"] = Field(default="quadratic", description="entry of the registry")
    ridge: float = Field(default=1e-2, gt=0, description="variance of the noise over that of a coefficient")


@shaped
class QuadraticEmulator(nn.Module):
    r"""All products of two labels (Ness et al. 2015, ApJ 808, 16, eq. 3), by ridge regression.

    .. math:: h(x) = \theta^T \varphi(Mx) ,\qquad \varphi(z) = (1, z_k, z_j z_k)

    M scales each label by the linear response of the spectrum to it, so that the ridge shrinks products of labels that
    matter little: there are more of them than spectra in a grid of thirty labels.

    Args:
        labels: Number of labels K.
        latent: Length D.
        spectra: Number of grid spectra N.
        config: Regularisation.
    """

    Config: ClassVar[Any] = QuadraticEmulatorConfig
    relevance: Tensor
    known: Float64[Tensor, "stars labels"]
    theta: Tensor
    spread: Tensor

    def __init__(self, labels: int, latent: int, spectra: int, config: Any = None) -> None:
        super().__init__()
        self.config: QuadraticEmulatorConfig = config or QuadraticEmulatorConfig()
        self.register_buffer("relevance", torch.zeros(labels, dtype=torch.float64))
        self.register_buffer("known", torch.zeros(spectra, labels, dtype=torch.float64))
        self.register_buffer("spread", torch.zeros(latent, latent, dtype=torch.float64))
        terms = 1 + labels + labels * (labels + 1) // 2
        self.register_buffer("theta", torch.zeros(terms, latent, dtype=torch.float64))

    @property
    def spectra(self) -> int:
        """Number of grid spectra."""
        return len(self.known)

    def forward(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents"]:
        """Latents, shape (B, D), of scaled labels (float64), shape (B, K)."""
        return _terms(x * self.relevance) @ self.theta

    def jacobian(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents labels"]:
        """∂h/∂x, shape (B, D, K)."""
        z, size = x * self.relevance, x.shape[1]
        rows, columns = torch.triu_indices(size, size).unbind()
        product = self.theta[1 + size :]
        slope = self.theta[1 : 1 + size].expand(len(x), -1, -1)
        slope = slope.index_add(1, rows, z[:, columns, None] * product)
        slope = slope.index_add(1, columns, z[:, rows, None] * product)
        return slope.mT * self.relevance

    @torch.no_grad()
    def fit(
        self,
        x: Float64[Tensor, "stars labels"],
        latent: Float[Tensor, "stars latents"],
        weight: Float[Tensor, " latents"],
        differences: Differences | None = None,
    ) -> None:
        """Closed-form fit to latents (N, D) of scaled labels (N, K); ``weight`` (D,), as in the contract."""
        self.known.copy_(x)
        self.relevance.copy_(relevance(x, latent.double() * weight.double()))
        terms = _terms(x * self.relevance)
        factor = self._factor(terms)
        self.theta.copy_(terms.T @ torch.cholesky_solve(latent.double(), factor))
        self.spread.copy_(left_out_spread(factor, latent.double(), len(x)))

    def _factor(self, terms: Tensor) -> Tensor:
        return torch.linalg.cholesky(
            terms @ terms.T + self.config.ridge * torch.eye(len(terms), dtype=terms.dtype)
        )

    def covariance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents latents"]:
        """Of the error of h(x), shape (B, D, D); products of terms are the kernel of a Gaussian process."""
        terms, known = _terms(x * self.relevance), _terms(self.known * self.relevance)
        own = terms.square().sum(1) + self.config.ridge
        return open_variance(self._factor(known), terms @ known.T, own)[:, None, None] * self.spread


def _terms(z: Tensor) -> Tensor:
    """1, z and all products of two, shape (B, 1 + K + K (K + 1) / 2)."""
    rows, columns = torch.triu_indices(z.shape[1], z.shape[1]).unbind()
    return torch.cat([torch.ones_like(z[:, :1]), z, z[:, rows] * z[:, columns]], dim=1)
