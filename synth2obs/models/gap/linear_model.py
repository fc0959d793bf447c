r"""A gap that is linear in features of the latent: :math:`\Delta(\lambda; u) = \sum_k D_k(\lambda)\,\varphi_k(u)`."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import GapPosterior, LabelSlopes
from synth2obs.models.gap.posterior import GapConfig, gap_posterior
from synth2obs.models.gap.reading import LabelReading


@shaped
class LinearModelGap(nn.Module):
    """Mean, posterior and scatter in every cell; a gap model adds its ``size`` F, features and their Jacobian.

    It may make do with the first ``used`` of its features, if its ``sizes`` have that number: the others are zero then.

    Zero, with the prior's variance, until it is fitted; see `contracts.GapModel`.

    Args:
        reading: Labels from latents.
        cells: Number of wavelength cells L.
        config: Prior and how it is learned; the class's own defaults if None.
    """

    Config: ClassVar[Any] = GapConfig
    size: int
    sizes: tuple[int, ...] = ()
    used: Tensor
    mean: Float[Tensor, "features cells"]
    factor: Float[Tensor, "cells features features"]
    scatter: Float[Tensor, " cells"]

    def __init__(self, reading: LabelReading, cells: int, config: Any = None) -> None:
        super().__init__()
        self.reading = reading
        self.config: GapConfig = config or self.Config()
        self.register_buffer("used", torch.tensor(self.size))
        self.register_buffer("mean", torch.zeros(self.size, cells))
        self.register_buffer("factor", self.config.scale * torch.eye(self.size).repeat(cells, 1, 1))
        self.register_buffer("scatter", torch.zeros(cells))

    def forward(self, features: Float[Tensor, "stars features"]) -> Float[Tensor, "stars cells"]:
        """Mean gap in normalised flux, shape (B, L), for features of shape (B, F)."""
        return features @ self.mean

    def variance(self, features: Float[Tensor, "stars features"]) -> Float[Tensor, "stars cells"]:
        """Posterior variance of the gap, shape (B, L), without the intrinsic scatter."""
        return torch.einsum("bf,lfg->blg", features, self.factor).square().sum(-1)

    def slopes(self) -> Mapping[str, Float[Tensor, " cells"]]:
        """None, unless a gap model says what its features are."""
        return {}

    def posterior(
        self,
        residual: Float[Tensor, "stars cells"],
        ivar: Float[Tensor, "stars cells"],
        features: Float[Tensor, "stars features"],
        slopes: LabelSlopes | None = None,
    ) -> GapPosterior:
        """See `posterior.gap_posterior`; of features that are not used it is zero."""
        found = gap_posterior(residual, ivar, features[:, : int(self.used)], self.config, slopes)
        more = self.size - int(self.used)
        return found._replace(
            mean=pad(found.mean, (0, 0, 0, more)),
            covariance=pad(found.covariance, (0, more, 0, more)),
            prior_variance=pad(found.prior_variance, (0, 0, 0, more)),
        )

    def use(self, count: int) -> None:
        """Make do with the first features, from the next posterior on.

        Raises:
            ValueError: If the model has no such size.
        """
        if count != self.size and count not in self.sizes:
            raise ValueError(f"a gap of {self.size} features has sizes {self.sizes}, not {count}")
        self.used.fill_(count)

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
