"""What a fit minimises: spectra, the map that explains them, priors; its value and its quadratic at a point."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from synth2obs.models.contracts import Coefficients, PriorTerms
from synth2obs.models.fit.continuum import OrthonormalContinuum
from synth2obs.models.projection.linear import Expansion, Linear

ENOUGH = 1e-4
"""Objective still to be gained, if it goes on falling as it does, below which a star is left alone: a hundredth of an
error."""


ROUNDING = 1e-8
"""Share of the objective that single precision loses."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Spectra to be explained, all in native pixels.

    Args:
        model: Coefficients and velocity → spectrum without continuum.
        flux: Shape (B, P); any finite value where ivar = 0.
        ivar: Shape (B, P), everything that is not model included (noise, intrinsic scatter).
        continuum_basis: Continuum functions Φ, shape (P, C) or (B, P, C).
        coefficients: θ (B, Q) → `Coefficients`.
        value: The same without the Jacobian, (B, M).
        prior: θ (B, Q) → `PriorTerms`.
        rv_sigma: Prior width of the velocity *correction* in km/s; 0 holds the velocity.
        lower, upper: Bounds of θ, shape (Q,).
        max_step: Largest change of a parameter in one step.
    """

    model: Linear
    flux: Tensor
    ivar: Tensor
    continuum_basis: Tensor
    coefficients: Callable[[Tensor], Coefficients]
    value: Callable[[Tensor], Tensor]
    prior: Callable[[Tensor], PriorTerms]
    rv_sigma: float = 30.0
    lower: Tensor | None = None
    upper: Tensor | None = None
    max_step: float = 1.0

    @cached_property
    def orthonormal(self) -> OrthonormalContinuum:
        """The continuum functions, orthonormal under the weights of each star."""
        return OrthonormalContinuum.over(self.continuum_basis, self.ivar)

    def take(self, rows: Tensor) -> "Objective":
        """Some of the stars."""
        return replace(
            self,
            model=self.model.take(rows),
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            continuum_basis=self.continuum_basis[rows]
            if self.continuum_basis.dim() == 3
            else self.continuum_basis,
        )


class Iterate(NamedTuple):
    """Where a fit stands; every field has the stars first."""

    theta: Tensor  # (B, Q) float64
    rv: Tensor  # (B,) km/s, relative to the velocity from which the model counts
    coefficients: Tensor  # (B, M) float64
    spectrum: Tensor  # (B, P) without continuum
    by_rv: Tensor  # (B, P) ∂spectrum/∂rv per km/s
    continuum: Tensor  # (B, P)
    factor: Tensor  # (B, C, C) of the continuum's normal matrix
    objective: Tensor  # (B,) χ² + 2 prior
    chi2: Tensor  # (B,)


class Quadratic(NamedTuple):
    """−log likelihood around an iterate, over coefficients and scaled velocity, the continuum eliminated; float64."""

    normal: Tensor  # (B, M + 1, M + 1)
    gradient: Tensor  # (B, M + 1), of the log likelihood


Fields = TypeVar("Fields", bound=tuple[Tensor, ...])
"""A named tuple whose fields have the stars first."""


class Solution(NamedTuple):
    """A fit and its Laplace covariance."""

    iterate: Iterate
    covariance: Tensor  # (B, Q, Q) float64
    rv_error: Tensor  # (B,) km/s


def evaluate(objective: Objective, theta: Tensor, rv: Tensor) -> Iterate:
    """The model and its objective at given parameters, the continuum at its best."""
    return iterate_at(objective, objective.orthonormal, theta, rv)


def iterate_at(objective: Objective, continuum: OrthonormalContinuum, theta: Tensor, rv: Tensor) -> Iterate:
    """`evaluate` with the orthonormal continuum functions of these stars."""
    coefficients = objective.value(theta)
    spectrum, by_rv = objective.model.spectrum(coefficients, rv)
    ivar = objective.ivar.float()
    values, factor = continuum.profile(spectrum, objective.flux, ivar)
    residual = (objective.flux - values * spectrum) * (ivar > 0)
    chi2 = (residual.double().square() * objective.ivar).sum(1)
    total = chi2 + 2.0 * objective.prior(theta).value + _velocity_prior(objective, rv)
    return Iterate(theta, rv, coefficients, spectrum, by_rv, values, factor, total, chi2)


def _velocity_prior(objective: Objective, rv: Tensor) -> Tensor:
    return (rv / objective.rv_sigma).square() if objective.rv_sigma > 0 else torch.zeros_like(rv)


def expansion(objective: Objective, here: Iterate) -> Expansion:
    """Where the sums over pixels are taken; the velocity in units of ``rv_sigma``."""
    by_rv = here.by_rv * objective.rv_sigma
    ivar = objective.ivar.float()
    return Expansion(
        here.coefficients, here.rv, here.spectrum, by_rv, ivar, here.continuum, objective.continuum_basis
    )


def quadratic(objective: Objective, continuum: OrthonormalContinuum, iterate: Iterate) -> Quadratic:
    """Exact gradient, and the normal matrix as the linear map gives it; velocity in units of ``rv_sigma``."""
    model, at = objective.model, expansion(objective, iterate)
    inner = at.ivar * at.continuum
    moving = inner * at.continuum * at.by_rv
    residual = inner * (objective.flux - at.continuum * at.spectrum)
    pulled = model.pull(residual, iterate.rv).double()
    products = model.products(at)
    crossed = products.velocity.double()
    normal = torch.cat([products.normal.double(), crossed[:, None]], dim=1)
    corner = torch.cat([crossed, (moving * at.by_rv).double().sum(1, keepdim=True)], dim=1)
    normal = torch.cat([normal, corner[..., None]], dim=2)
    outer = products.continuum.double() @ continuum.transform
    outer = torch.cat([outer, continuum.pull(inner * at.by_rv * at.spectrum)[:, None]], dim=1)
    slope = (residual * at.by_rv).double().sum(1, keepdim=True)
    half = torch.linalg.solve_triangular(iterate.factor, outer.mT, upper=False)
    eliminated = normal - half.mT @ half
    return Quadratic(eliminated, torch.cat([pulled, slope], dim=1))


def scaled_velocity(objective: Objective, rv: Tensor) -> Tensor:
    """Velocity in units of its prior's width, 0 where it is held."""
    return rv / objective.rv_sigma if objective.rv_sigma > 0 else torch.zeros_like(rv)


def merged(better: Tensor, new: Fields, old: Fields) -> Fields:
    """Star by star the new values, or the old ones."""
    parts = zip(new, old, strict=True)
    return type(new)(*(torch.where(better.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in parts))


def rows_of(stars: Fields, rows: Tensor) -> Fields:
    """Some of the stars."""
    return type(stars)(*(part[rows] for part in stars))


def put(stars: Fields, rows: Tensor, values: Fields) -> None:
    """Overwrite some of the stars."""
    for part, value in zip(stars, values, strict=True):
        part[rows] = value


def origin_prior(theta: Tensor) -> PriorTerms:
    """θ ~ N(0, I): the prior of whitened latents."""
    eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
    return PriorTerms(0.5 * theta.square().sum(1), theta, eye)
