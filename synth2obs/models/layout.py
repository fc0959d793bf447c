"""The functions that make a spectrum: in which order they and their coefficients stand."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped


@shaped
class Coefficients(NamedTuple):
    """Coefficients of the functions that make a spectrum, in the order of `Layout`, and their Jacobian."""

    value: Float[Tensor, "stars coefficients"]
    jacobian: Float[Tensor, "stars coefficients parameters"]


@shaped
@dataclass(frozen=True)
class Layout:
    """Columns of a spectrum's functions and of their coefficients: mean | trunk | gap.

    Args:
        functions: Number of trunk functions.
        features: Number of features of the gap.
    """

    functions: int
    features: int

    @property
    def mean(self) -> slice:
        """Of the mean spectrum."""
        return slice(0, 1)

    @property
    def trunk(self) -> slice:
        """Of the decoder's trunk."""
        return slice(1, 1 + self.functions)

    @property
    def theory(self) -> slice:
        """Mean and trunk: what the line spread acts on."""
        return slice(0, 1 + self.functions)

    @property
    def gap(self) -> slice:
        """Of the gap, which is at the survey's resolution already."""
        return slice(1 + self.functions, self.coefficients)

    @property
    def coefficients(self) -> int:
        """Number of coefficients M."""
        return 1 + self.functions + self.features

    def join(
        self, trunk: Float[Tensor, "stars functions"], gap: Float[Tensor, "stars features"]
    ) -> Float[Tensor, "stars coefficients"]:
        """Coefficients (B, M) of values of trunk (B, K) and gap (B, F); that of the mean is 1."""
        return torch.cat([torch.ones_like(trunk[:, :1]), trunk, gap], dim=1)

    def without_gap(
        self, coefficients: Float[Tensor, "stars coefficients *any"]
    ) -> Float[Tensor, "stars coefficients *any"]:
        """The same coefficients (B, M), or their Jacobian (B, M, Q), with those of the gap at zero."""
        theory = coefficients[:, self.theory]
        return torch.cat([theory, torch.zeros_like(coefficients[:, self.gap])], dim=1)
