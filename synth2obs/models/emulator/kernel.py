"""Kernel ridge regression of latents on labels."""

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

LINEAR = 10.0
"""Variance of the linear and constant terms relative to the kernel's."""


class KernelConfig(EmulatorConfig):
    """Settings of the kernel emulator."""

    name: Literal["kernel"] = Field(default="kernel", description="entry of the registry")
    length: float = Field(
        default=2.0, gt=0, description="of the kernel, in standard deviations of the most important label"
    )
    ridge: float = Field(default=1e-3, gt=0, description="regularisation relative to the kernel's amplitude")


@shaped
class KernelEmulator(nn.Module):
    r"""Kernel ridge regression of latents on sensitivity-scaled labels.

    .. math::
        h(x) = \sum_n \alpha_n \left(1 + \tfrac{|Mx - Mx_n|^2}{2\ell^2}\right)^{-1} + (Mx)^T \beta + \gamma

    M scales each label by the linear response of the spectrum to it, which matters more than the
    regressor: it halves the error at equal cost. ``docs/decoder.md`` has the comparison with networks.

    Args:
        labels: Number of labels K.
        latent: Length D.
        spectra: Number of grid spectra N.
        config: Kernel.
    """

    Config: ClassVar[Any] = KernelConfig

    relevance: Tensor
    centres: Tensor
    alpha: Tensor
    beta: Tensor
    gamma: Tensor
    spread: Tensor

    def __init__(self, labels: int, latent: int, spectra: int, config: Any = None) -> None:
        super().__init__()
        self.config: KernelConfig = config or KernelConfig()
        for name, shape in {
            "relevance": (labels,),
            "centres": (spectra, labels),
            "alpha": (spectra, latent),
            "beta": (labels, latent),
            "gamma": (latent,),
            "spread": (latent, latent),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))

    @property
    def spectra(self) -> int:
        """Number of grid spectra."""
        return len(self.centres)

    @property
    def known(self) -> Float64[Tensor, "stars labels"]:
        """Scaled labels of the spectra that it was fitted to, shape (N, K)."""
        return self.centres / self.relevance.clamp(min=1e-12)

    def _kernel(self, place: Tensor) -> Tensor:
        squared = torch.cdist(place, self.centres).square()
        return 1.0 / (1.0 + squared / (2.0 * self.config.length**2))

    def forward(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents"]:
        """Latents, shape (B, D), of scaled labels (float64), shape (B, K)."""
        place = x * self.relevance
        return self._kernel(place) @ self.alpha + place @ self.beta + self.gamma

    def jacobian(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents labels"]:
        """∂h/∂x, shape (B, D, K)."""
        place = x * self.relevance
        slope = -self._kernel(place).square() / self.config.length**2
        products = (self.alpha[:, :, None] * self.centres[:, None]).flatten(1)
        pulled = (slope @ products).unflatten(1, (-1, x.shape[1]))
        jacobian = place[:, None, :] * (slope @ self.alpha)[:, :, None] - pulled + self.beta.T
        return jacobian * self.relevance

    def covariance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, "stars latents latents"]:
        """Of the error of h(x), shape (B, D, D); the ridge is the kernel matrix of a Gaussian process."""
        place = x * self.relevance
        cross = self._kernel(place) + LINEAR * (1.0 + place @ self.centres.T)
        own = 1.0 + LINEAR * (1.0 + place.square().sum(1)) + self.config.ridge
        return open_variance(self._factor(), cross, own)[:, None, None] * self.spread

    @torch.no_grad()
    def fit(
        self,
        x: Float64[Tensor, "stars labels"],
        latent: Float[Tensor, "stars latents"],
        weight: Float[Tensor, " latents"],
        differences: Differences | None = None,
    ) -> None:
        """Closed-form fit.

        Args:
            x: Scaled labels, shape (N, K), float64.
            latent: Latents of the same spectra, shape (N, D).
            weight: Flux that one unit of each latent moves (rms over pixels), shape (D,); it sets the
                sensitivities in flux, not in latent units.
            differences: Not used.
        """
        latent = latent.double()
        self.relevance.copy_(relevance(x, latent * weight.double()))
        self.centres.copy_(x * self.relevance)
        factor = self._factor()
        self.alpha.copy_(torch.cholesky_solve(latent, factor))
        self.beta.copy_(LINEAR * self.centres.T @ self.alpha)
        self.gamma.copy_(LINEAR * self.alpha.sum(0))
        self.spread.copy_(left_out_spread(factor, latent, len(x)))

    def _factor(self) -> Tensor:
        gram = self._kernel(self.centres) + LINEAR * (1.0 + self.centres @ self.centres.T)
        return torch.linalg.cholesky(gram + self.config.ridge * torch.eye(self.spectra, dtype=gram.dtype))
