"""Gaps that are polynomials in Teff, log g and [Fe/H]."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.gap.features import polynomial
from synth2obs.models.gap.linear_model import LinearModelGap
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.gap.reading import LABELS


@shaped
class PolynomialGap(LinearModelGap):
    """All products of the labels up to a degree that subclasses give, with ``size`` terms."""

    degree: ClassVar[int]

    def features(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars features"]:
        """Features at survey latents, (B, D) → (B, F)."""
        return polynomial(self.reading(u), self.degree)[0]

    def features_jacobian(self, u: Float[Tensor, "stars latents"]) -> Float[Tensor, "stars features latents"]:
        """∂features/∂u, shape (B, F, D)."""
        labels = self.reading(u)
        return polynomial(labels, self.degree)[1] @ self.reading.jacobian(labels)

    def slopes(self) -> Mapping[str, Float[Tensor, " cells"]]:
        """Change of the mean gap with a standard deviation of a label, by the label's name, shape (L,) each."""
        return dict(zip(LABELS, self.mean[1 : 1 + len(LABELS)], strict=False))


class ConstantConfig(GapConfig):
    """Settings of a gap that is the same for all stars."""

    name: Literal["constant"] = Field(default="constant", description="entry of the registry")


class LinearConfig(GapConfig):
    """Settings of a gap that is linear in labels."""

    name: Literal["linear"] = Field(default="linear", description="entry of the registry")


class QuadraticConfig(GapConfig):
    """Settings of a gap that is quadratic in labels."""

    name: Literal["quadratic"] = Field(default="quadratic", description="entry of the registry")


class ConstantGap(PolynomialGap):
    """The same for all stars."""

    Config: ClassVar[Any] = ConstantConfig
    degree, size = 0, 1


class LinearGap(PolynomialGap):
    """Linear in Teff, log g, [Fe/H]."""

    Config: ClassVar[Any] = LinearConfig
    degree, size = 1, 4
    sizes: tuple[int, ...] = (1, 4)


class QuadraticGap(PolynomialGap):
    """Quadratic in Teff, log g, [Fe/H]."""

    Config: ClassVar[Any] = QuadraticConfig
    degree, size = 2, 10
    sizes: tuple[int, ...] = (1, 4, 10)
