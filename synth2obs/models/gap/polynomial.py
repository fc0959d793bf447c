r"""Gaps :math:`\Delta(\lambda; u) = \sum_k D_k(\lambda)\,\varphi_k(u)`, polynomial in Teff, log g and [Fe/H]."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from synth2obs.models.contracts import GapPosterior
from synth2obs.models.gap.features import polynomial
from synth2obs.models.gap.posterior import GapConfig, gap_posterior
from synth2obs.models.gap.reading import LABELS, LabelReading


class PolynomialGap(nn.Module):
    """A gap of one degree; see `contracts.GapModel`. Zero, with the prior's variance, until it is fitted.

    Args:
        reading: Labels from latents.
        cells: Number of wavelength cells L.
        config: Prior and how it is learned; the class's own defaults if None.
    """

    Config: ClassVar[Any] = GapConfig
    degree: ClassVar[int]
    mean: Tensor
    factor: Tensor
    scatter: Tensor

    def __init__(self, reading: LabelReading, cells: int, config: Any = None) -> None:
        super().__init__()
        self.reading = reading
        self.config: GapConfig = config or self.Config()
        self.size = (1, 1 + len(LABELS), 10)[self.degree]
        self.register_buffer("mean", torch.zeros(self.size, cells))
        self.register_buffer("factor", self.config.scale * torch.eye(self.size).repeat(cells, 1, 1))
        self.register_buffer("scatter", torch.zeros(cells))

    def features(self, u: Tensor) -> Tensor:
        """Features at survey latents, (B, D) → (B, F)."""
        return polynomial(self.reading(u), self.degree)[0]

    def features_jacobian(self, u: Tensor) -> Tensor:
        """∂features/∂u, shape (B, F, D)."""
        labels = self.reading(u)
        return polynomial(labels, self.degree)[1] @ self.reading.jacobian(labels)

    def forward(self, features: Tensor) -> Tensor:
        """Mean gap in normalised flux, shape (B, L), for features of shape (B, F)."""
        return features @ self.mean

    def variance(self, features: Tensor) -> Tensor:
        """Posterior variance of the gap, shape (B, L), without the intrinsic scatter."""
        return torch.einsum("bf,lfg->blg", features, self.factor).square().sum(-1)

    def slopes(self) -> Mapping[str, Tensor]:
        """Change of the mean gap with a standard deviation of a label, by the label's name, shape (L,) each."""
        return dict(zip(LABELS, self.mean[1 : 1 + len(LABELS)], strict=False))

    def posterior(self, residual: Tensor, ivar: Tensor, features: Tensor) -> GapPosterior:
        """See `posterior.gap_posterior`."""
        return gap_posterior(residual, ivar, features, self.config)

    @torch.no_grad()
    def update(self, posterior: GapPosterior) -> None:
        """Take over a posterior.

        Raises:
            ValueError: If it has other features or cells.
        """
        if posterior.mean.shape != self.mean.shape:
            raise ValueError(
                f"posterior has (features, cells) = {tuple(posterior.mean.shape)}, the gap "
                f"{tuple(self.mean.shape)}; build the gap with the posterior's numbers"
            )
        self.mean.copy_(posterior.mean)
        values, vectors = torch.linalg.eigh(posterior.covariance)
        self.factor.copy_(vectors * values.clamp(min=0).sqrt()[:, None, :])
        self.scatter.copy_(posterior.scatter)


class ConstantConfig(GapConfig):
    """Settings of a gap that is the same for all stars."""

    name: Literal["constant"] = "constant"


class LinearConfig(GapConfig):
    """Settings of a gap that is linear in labels."""

    name: Literal["linear"] = "linear"


class QuadraticConfig(GapConfig):
    """Settings of a gap that is quadratic in labels."""

    name: Literal["quadratic"] = "quadratic"


class ConstantGap(PolynomialGap):
    """The same for all stars."""

    Config: ClassVar[Any] = ConstantConfig
    degree = 0


class LinearGap(PolynomialGap):
    """Linear in Teff, log g, [Fe/H]."""

    Config: ClassVar[Any] = LinearConfig
    degree = 1


class QuadraticGap(PolynomialGap):
    """Quadratic in Teff, log g, [Fe/H]."""

    Config: ClassVar[Any] = QuadraticConfig
    degree = 2
