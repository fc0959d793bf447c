"""What a fit minimises: spectra, the map that explains them, priors; its value and its quadratic at a point."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from synth2obs.models.fit.cholesky import cholesky_factor
from synth2obs.models.fit.continuum import OrthonormalContinuum
from synth2obs.models.fit.parameters import Parameters, Slopes
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.projection.linear import Expansion, Linear

ENOUGH = 1e-4
"""Objective still to be gained, if it goes on falling as it does, below which a star is left alone: a hundredth of an
error."""


ROUNDING = 3e-6
"""Share of the objective that single precision loses: 1e-7 of the flux, at an S/N of some hundreds in every pixel."""


WEAK = 1e-2
"""Information on a scaled parameter below which nothing is known of it."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Spectra to be explained, all in native pixels.

    Args:
        model: Coefficients and velocity → spectrum without continuum.
        flux: Shape (B, P); any finite value where ivar = 0.
        noise: Covariance of everything that is not model: noise, and what theory leaves.
        continuum_basis: Continuum functions Φ, shape (P, C) or (B, P, C).
        parameters: θ, how it makes coefficients, and its prior.
        rv_sigma: Prior width of the velocity *correction* in km/s; 0 holds the velocity.
    """

    model: Linear
    flux: Tensor
    noise: Noise
    continuum_basis: Tensor
    parameters: Parameters
    rv_sigma: float = 30.0

    @property
    def good(self) -> Tensor:
        """Pixels that take part, shape (B, P)."""
        return self.noise.white > 0

    @cached_property
    def orthonormal(self) -> OrthonormalContinuum:
        """The continuum functions, orthonormal under the weights of each star."""
        return OrthonormalContinuum.over(self.continuum_basis, self.noise.marginal)

    def take(self, rows: Tensor) -> "Objective":
        """Some of the stars; what their continuum is made of stays."""
        if len(rows) == len(self.flux) and torch.equal(rows, torch.arange(len(rows))):
            return self
        own = replace(
            self,
            model=self.model.take(rows),
            flux=self.flux[rows],
            noise=self.noise.take(rows),
            parameters=self.parameters.take(rows),
            continuum_basis=self.continuum_basis[rows]
            if self.continuum_basis.dim() == 3
            else self.continuum_basis,
        )
        own.__dict__["orthonormal"] = self.orthonormal.take(rows)
        return own

    @property
    def without_error(self) -> "Objective":
        """The same with `Parameters.without_error`."""
        return replace(self, parameters=self.parameters.without_error)

    @property
    def independent(self) -> "Objective":
        """The same with pixels that err independently."""
        return replace(self, noise=Noise(self.noise.marginal))


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
    jacobian: Tensor  # (B, M, Q) ∂g/∂θ there


Fields = TypeVar("Fields", bound=tuple[Tensor, ...])
"""A named tuple whose fields have the stars first."""


class Solution(NamedTuple):
    """A fit and its Laplace covariance."""

    iterate: Iterate
    covariance: Tensor  # (B, Q, Q) float64
    rv_error: Tensor  # (B,) km/s


def evaluate(objective: Objective, theta: Tensor, rv: Tensor) -> Iterate:
    """The model and its objective at given parameters, the continuum at its best."""
    coefficients = objective.parameters.value(theta)
    spectrum, by_rv = objective.model.spectrum(coefficients, rv)
    values, factor = objective.orthonormal.under(objective.noise, spectrum, objective.flux)
    residual = (objective.flux - values * spectrum).double() * objective.good
    chi2 = (residual * objective.noise.solve(residual)).sum(1)
    total = chi2 + 2.0 * objective.parameters.prior(theta).value + _velocity_prior(objective, rv)
    return Iterate(theta, rv, coefficients, spectrum, by_rv, values, factor, total, chi2)


def _velocity_prior(objective: Objective, rv: Tensor) -> Tensor:
    return (rv / objective.rv_sigma).square() if objective.rv_sigma > 0 else torch.zeros_like(rv)


def expansion(objective: Objective, here: Iterate) -> Expansion:
    """Where the sums over pixels are taken; the velocity in units of ``rv_sigma``."""
    by_rv = here.by_rv * objective.rv_sigma
    return Expansion(
        here.coefficients,
        here.rv,
        here.spectrum,
        by_rv,
        objective.noise,
        here.continuum,
        objective.continuum_basis,
        objective.rv_sigma,
    )


def quadratic(objective: Objective, iterate: Iterate) -> Quadratic:
    """Exact gradient, and a normal matrix that is exact along ∂g/∂θ; velocity in units of ``rv_sigma``."""
    at = expansion(objective, iterate)
    slopes = objective.parameters.slopes(iterate.theta)
    exact = _summed(objective, iterate, slopes.by_latent)
    normal = _exact_along(objective.model.normal(at).double(), slopes.by_latent, exact)
    # A linear map may share one Jacobian among its stars; each needs its own to be overwritten.
    return Quadratic(normal, _gradient(objective, at)[1], slopes.jacobian.contiguous())


def tilted(objective: Objective, iterate: Iterate, normal: Tensor) -> Quadratic:
    """`quadratic` with a normal matrix from nearby, which only steers; the gradient is exact."""
    jacobian = objective.parameters.slopes(iterate.theta).jacobian.contiguous()
    return Quadratic(normal, _gradient(objective, expansion(objective, iterate))[1], jacobian)


def far_quadratic(objective: Objective, iterate: Iterate) -> tuple[Tensor, Tensor]:
    """Normal matrix (B, M + 1, M + 1) as the linear map gives it, the continuum eliminated, and exact gradient."""
    continuum, at = objective.orthonormal, expansion(objective, iterate)
    moving, gradient = _gradient(objective, at)
    products = objective.model.products(at)
    crossed = products.velocity.double()
    normal = torch.cat([products.normal.double(), crossed[:, None]], dim=1)
    own = (moving * at.continuum * at.by_rv).double().sum(1, keepdim=True)
    normal = torch.cat([normal, torch.cat([crossed, own], dim=1)[..., None]], dim=2)
    outer = products.continuum.double() @ continuum.transform
    outer = torch.cat([outer, continuum.pull(moving * at.spectrum)[:, None]], dim=1)
    half = torch.linalg.solve_triangular(iterate.factor, outer.mT, upper=False)
    return normal - half.mT @ half, gradient


def _gradient(objective: Objective, at: Expansion) -> tuple[Tensor, Tensor]:
    """C⁻¹ times the change with velocity (B, P), and the gradient of the log likelihood by (g, velocity)."""
    slope = at.continuum * at.by_rv
    columns = torch.stack([slope, objective.flux - at.continuum * at.spectrum], dim=1).double()
    moving, residual = objective.noise.solve(columns).unbind(1)
    pulled = objective.model.pull(at.continuum * residual.float(), at.rv).double()
    uphill = (residual * slope).sum(1, keepdim=True)
    return moving, torch.cat([pulled, uphill], dim=1)


def information(objective: Objective, iterate: Iterate, slopes: Slopes) -> Tensor:
    """Fisher information of θ and the scaled velocity, the continuum eliminated, (B, Q + 1, Q + 1): exact sums."""
    inner = _summed(objective, iterate, slopes.by_latent)
    count, size = slopes.of_latent.shape[0], slopes.of_latent.shape[2]
    change = inner.new_zeros(count, inner.shape[1], size + 1)
    change[:, :-1, :-1], change[:, -1, -1] = slopes.of_latent, 1.0
    return change.mT @ inner @ change


def _summed(objective: Objective, iterate: Iterate, by_latent: Tensor) -> Tensor:
    """The same of the latents, (B, D + 1, D + 1)."""
    continuum, size = objective.orthonormal, by_latent.shape[2]
    gram = objective.model.gram(expansion(objective, iterate), by_latent)
    inner, outer = gram[:, : size + 1, : size + 1], gram[:, : size + 1, size + 1 :] @ continuum.transform
    basis = continuum.transform.mT @ gram[:, size + 1 :, size + 1 :] @ continuum.transform
    half = torch.linalg.solve_triangular(cholesky_factor(basis), outer.mT, upper=False)
    return inner - half.mT @ half


def _exact_along(normal: Tensor, jacobian: Tensor, exact: Tensor) -> Tensor:
    r"""A normal matrix N (B, M, M) of the coefficients, exact on the columns U of the Jacobian and for the velocity.

    .. math:: N + P (E - M) P^T , \qquad P = N U M^{-1} , \quad M = U^T N U .

    N is from sums over stretches of the spectrum: where theory's error changes from pixel to pixel it steers badly.
    It is what is left for changes of the coefficients that are not linear in θ.

    Args:
        normal: N, positive semidefinite, the continuum not eliminated.
        jacobian: U, shape (B, M, Q).
        exact: E over θ and velocity, shape (B, Q + 1, Q + 1).

    Returns:
        Shape (B, M + 1, M + 1).
    """
    count, size, columns = jacobian.shape
    slope = jacobian.double()
    pulled = normal @ slope
    own = slope.mT @ pulled
    factor = cholesky_factor(own + WEAK * torch.eye(columns, dtype=torch.float64))
    share = torch.cholesky_solve(pulled.mT, factor)
    whole = normal.new_zeros(count, size + 1, size + 1)
    whole[:, :-1, :-1] = normal + share.mT @ (exact[:, :-1, :-1] - own) @ share
    whole[:, :-1, -1:] = share.mT @ exact[:, :-1, -1:]
    whole[:, -1:, :-1] = whole[:, :-1, -1:].mT
    whole[:, -1, -1] = exact[:, -1, -1]
    return whole


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
