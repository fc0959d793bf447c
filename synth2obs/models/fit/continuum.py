"""The continuum inside a fit: linear, eliminated exactly at every step, batched over stars."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.noise.covariance import Noise

RIDGE = 1e-10
"""Relative ridge on the continuum's normal matrix: above the rounding of its sums, below anything that shows."""

RANK = 1e-8
"""Continuum functions whose relative variance over the good pixels is less are left out."""


class Profiled(NamedTuple):
    """The best continuum under a spectrum."""

    values: Tensor  # (B, P) float32
    factor: Tensor  # (B, C, C) Cholesky factor of its normal matrix, in the orthonormal functions


@dataclass(frozen=True)
class OrthonormalContinuum:
    """Continuum functions Φ, orthonormal over each star's good pixels.

    Polynomials on a detector that is masked in part are nearly dependent. Their span, which alone matters, is
    kept: ``transform`` takes each star's orthonormal functions to coefficients of Φ.

    Args:
        basis: Φ, shape (P, C) or (B, P, C), float64.
        pairs: Products Φ_i Φ_j that are not zero everywhere, shape (P, D), float64; None where Φ is each star's own.
        places: Their rows and columns, shape (2, D).
        transform: Shape (B, C, C), float64.
    """

    basis: Tensor
    pairs: Tensor | None
    places: Tensor
    transform: Tensor

    @classmethod
    def over(cls, basis: Tensor, ivar: Tensor) -> "OrthonormalContinuum":
        """Functions (P, C) or (B, P, C) made orthonormal under inverse variances (B, P)."""
        pairs, places = _pairs(basis)
        bare = cls(basis.double(), pairs, places, torch.empty(0))
        values, vectors = torch.linalg.eigh(bare.normal(ivar))
        kept = values > RANK * values[:, -1:].clamp(min=1e-300)
        scale = torch.where(kept, values.clamp(min=1e-300).rsqrt(), 0.0)
        return cls(bare.basis, pairs, places, vectors * scale[:, None])

    def take(self, rows: Tensor) -> "OrthonormalContinuum":
        """The functions of some of the stars."""
        basis = self.basis[rows] if self.basis.dim() == 3 else self.basis
        return OrthonormalContinuum(basis, self.pairs, self.places, self.transform[rows])

    def normal(self, weight: Tensor) -> Tensor:
        """Φᵀ diag(weight) Φ, shape (B, C, C), float64."""
        if self.pairs is None:
            return (self.basis * weight.double()[..., None]).mT @ self.basis
        size = self.basis.shape[-1]
        full = self.pairs.new_zeros(len(weight), size, size)
        row, column = self.places
        full[:, row, column] = full[:, column, row] = weight.double() @ self.pairs
        return full

    def pull(self, values: Tensor) -> Tensor:
        """Orthonormal functions times ``values`` (B, P), summed over the pixels, shape (B, C), float64."""
        shared, exact = self.basis.dim() == 2, values.double()
        raw = exact @ self.basis if shared else torch.einsum("bpc,bp->bc", self.basis, exact)
        return (self.transform.mT @ raw[..., None])[..., 0]

    def profile(self, spectrum: Tensor, flux: Tensor, ivar: Tensor) -> Profiled:
        """The continuum that fits ``flux`` best when it multiplies ``spectrum``, all (B, P)."""
        outer = ivar * spectrum
        factor = _factor(self.transform.mT @ self.normal(outer * spectrum) @ self.transform)
        right = self.pull(outer * flux)[..., None]
        coefficients = (self.transform @ torch.cholesky_solve(right, factor))[..., 0]
        shared = self.basis.dim() == 2
        values = (
            coefficients @ self.basis.T if shared else torch.einsum("bpc,bc->bp", self.basis, coefficients)
        )
        return Profiled(values.float(), factor)

    def under(self, noise: Noise, spectrum: Tensor, flux: Tensor) -> Profiled:
        """`profile` under a covariance of the flux."""
        if noise.wide is None:
            return self.profile(spectrum, flux, noise.white.float())
        columns = self.basis.mT * spectrum.double()[:, None]
        solved = noise.solve(columns)
        factor = _factor(self.transform.mT @ (columns @ solved.mT) @ self.transform)
        right = self.transform.mT @ (solved @ flux.double()[..., None])
        coefficients = self.transform @ torch.cholesky_solve(right, factor)
        return Profiled((self.basis @ coefficients)[..., 0].float(), factor)


def _pairs(basis: Tensor) -> tuple[Tensor | None, Tensor]:
    """Products of functions that share pixels, and which functions they are."""
    size = basis.shape[-1]
    places = torch.triu_indices(size, size)
    if basis.dim() == 3:
        return None, places
    products = basis[:, places[0]].double() * basis[:, places[1]].double()
    used = products.any(0)
    return products[:, used].contiguous(), places[:, used]


def _factor(normal: Tensor) -> Tensor:
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    ridge = RIDGE * diagonal.mean(-1, keepdim=True) + 1e-30
    return torch.linalg.cholesky(normal + torch.diag_embed(ridge.expand_as(diagonal) + (diagonal <= 0)))
