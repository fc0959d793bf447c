"""Marginal alignment: one density carried onto another, whatever the labels."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.change import difference_jacobian
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import Density, EncodedStars


class MarginalConfig(AlignmentConfig):
    """Settings of marginal alignment: those of the densities' training."""

    name: Literal["marginal"] = Field(default="marginal", description="entry of the registry")


@shaped
class MarginalMorph(nn.Module):
    r"""The map that carries one density onto another, :math:`f_b^{-1} \circ f_a`, whatever the labels.

    It is what AlignFlow (Grover et al. 2020, arXiv:1905.12892) does with one base: exact for the marginals, and
    therefore biased by the difference of the two populations. The identity until densities are attached.

    Args:
        latent: Latent dimensions D.
        config: Settings.
    """

    Config: ClassVar[Any] = MarginalConfig

    def __init__(self, latent: int, config: Any = None) -> None:
        super().__init__()
        self.config: MarginalConfig = config or MarginalConfig()
        # Not registered: the densities belong to the bridge and the survey, which save them.
        self._densities: tuple[Density, Density] | None = None

    def attach(self, source: Density, target: Density) -> None:
        """Map between the grid's and the survey's density."""
        self._densities = source, target

    def forward(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Grid to survey, shape (B, D), and ln|det|, shape (B,)."""
        if self._densities is None:
            return u, u.new_zeros(len(u))
        return _through(*self._densities, u)

    def inverse(
        self, v: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Survey to grid."""
        if self._densities is None:
            return v, v.new_zeros(len(v))
        source, target = self._densities
        return _through(target, source, v)

    def jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars latents latents"]:
        """∂T/∂u, shape (B, D, D)."""
        return difference_jacobian(self, u)

    def loss(
        self, stars: EncodedStars, probes: Float[Tensor, "probes stars latents"]
    ) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
        """Nothing of its own to teach: the densities have their likelihood."""
        return stars.latent.new_zeros(()), {}


def _through(source: Density, target: Density, u: Tensor) -> tuple[Tensor, Tensor]:
    noise, outward = source.to_noise(u)
    mapped, back = target.from_noise(noise)
    return mapped, outward + back
