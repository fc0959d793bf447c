"""No morph at all: what is left of a method when its map of the latent space is taken away."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import Density, EncodedStars


class IdentityConfig(AlignmentConfig):
    """Settings of the identity: those of the densities' training."""

    name: Literal["identity"] = Field(default="identity", description="entry of the registry")


@shaped
class IdentityMorph(nn.Module):
    """T(u) = u.

    Args:
        latent: Latent dimensions D.
        config: Settings.
    """

    Config: ClassVar[Any] = IdentityConfig

    def __init__(self, latent: int, config: Any = None) -> None:
        super().__init__()
        self.config: IdentityConfig = config or IdentityConfig()

    def attach(self, source: Density, target: Density) -> None:
        """Densities are not needed."""

    def forward(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """The latents themselves, and zero log-determinants."""
        return u, u.new_zeros(len(u))

    def inverse(
        self, v: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """The same."""
        return self(v)

    def jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars latents latents"]:
        """Unit matrices, shape (B, D, D)."""
        return torch.eye(u.shape[1], dtype=u.dtype, device=u.device).expand(len(u), -1, -1)

    def loss(
        self, stars: EncodedStars, probes: Float[Tensor, "probes stars latents"]
    ) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
        """Nothing to teach."""
        return stars.latent.new_zeros(()), {}
