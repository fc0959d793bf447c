"""Conditional alignment: a morph taught by stars of which both the labels and the encoded spectrum are known."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from synth2obs.core.shapes import shaped
from synth2obs.models.alignment.change import difference_jacobian, minimal_change
from synth2obs.models.alignment.flow import coupling_chain
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import Density, EncodedStars


class ConditionalConfig(AlignmentConfig):
    """Settings of conditional alignment."""

    name: Literal["conditional"] = Field(default="conditional", description="entry of the registry")


@shaped
class ConditionalMorph(nn.Module):
    r"""A flow :math:`T: R^D \to R^D`, learned given labels: see `loss`.

    It starts at the identity: exactly for affine and additive couplings, to rounding for splines.
    Couplings: Dinh et al. 2015 (arXiv:1410.8516), 2017 (arXiv:1605.08803); splines: Durkan et al. 2019
    (arXiv:1906.04032).

    Args:
        latent: Latent dimensions D, at least 2.
        config: Size of the flow, weights of the loss.
    """

    Config: ClassVar[Any] = ConditionalConfig

    def __init__(self, latent: int, config: Any = None) -> None:
        super().__init__()
        self.config: ConditionalConfig = config or ConditionalConfig()
        self.chain = coupling_chain(latent, self.config)

    def attach(self, source: Density, target: Density) -> None:
        """Densities are not needed."""

    def forward(
        self, u: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Grid to survey: ``T(u)``, shape (B, D), and ``ln|det ∂T/∂u|``, shape (B,)."""
        v, logabsdet = self.chain(u)
        return v, logabsdet

    def inverse(
        self, v: Float[Tensor, "stars latents"]
    ) -> tuple[Float[Tensor, "stars latents"], Float[Tensor, " stars"]]:
        """Survey to grid: ``T⁻¹(v)``, shape (B, D), and ``ln|det ∂T⁻¹/∂v|``, shape (B,)."""
        u, logabsdet = self.chain.inverse(v)
        return u, logabsdet

    def jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars latents latents"]:
        """∂T/∂u, shape (B, D, D)."""
        return difference_jacobian(self, u)

    def loss(
        self, stars: EncodedStars, probes: Float[Tensor, "probes stars latents"]
    ) -> tuple[Float[Tensor, ""], Mapping[str, Float[Tensor, ""]]]:
        r"""How far T(h(x)) is from encoded stars, and T from the identity.

        The misfit is :math:`\langle\ln(1 + |T(h(x_n)) - u_n|^2_{\Sigma_n} / D)\rangle`: a Student-like likelihood, so
        that a star with a wrong label or a companion does not pull.
        """
        u, precision = stars.latent, stars.precision
        misfit = self(stars.source)[0] - u
        distance = torch.einsum("bi,bij,bj->b", misfit, precision, misfit) / u.shape[1]
        change = minimal_change(self, stars.source, probes)
        terms = {"misfit": torch.log1p(distance).mean(), **change}
        weighed = (
            self.config.displacement * change["displacement"] + self.config.jacobian * change["jacobian"]
        )
        return terms["misfit"] + weighed / u.shape[1], terms
