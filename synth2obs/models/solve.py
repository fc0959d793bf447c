r"""Gauss–Newton encoding, which replaces the gradient step from the origin of Gradient Origin Networks.

For every star the model in native pixels is a continuum times a map that is linear in its coefficients,

.. math:: m = (\Phi a) \cdot A(v)\, g(\theta) ,

and θ (a latent, or labels), the velocity v and the continuum a are found together. At the current point all that is
needed of the pixels is the exact gradient and the normal matrix of (g, v), the continuum eliminated exactly (variable
projection by a Schur complement). With them

.. math:: \min_{\theta, v}\ \tfrac12 z^T N z - b^T z + \mathrm{prior}(\theta, v) , \qquad z = (g(\theta) - g_0, v - v_0)

is solved by damped Gauss–Newton steps that touch no pixel, and the result is accepted where the true objective falls;
elsewhere the star alone is damped more (Bond-Taylor & Willcocks 2021, arXiv:2007.02798, for the origin; Levenberg 1944,
Marquardt 1963 for the damping; Golub & Pereyra 1973 for variable projection). A pixel with ivar = 0 is an exact no-op.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from synth2obs.models.linear import Linear, Place
from synth2obs.models.profile import Continuum

INNER = 6
"""Damped Gauss–Newton steps in the coefficients for every look at the pixels."""

ENOUGH = 1e-4
"""Objective still to be gained, if it goes on falling as it does, below which a star is left alone: a hundredth of an
error."""

ROUNDING = 1e-8
"""Share of the objective that single precision loses."""

TRIES = 8
"""Dampings or ridges tried, each ten times the last."""

STUCK = 1e4
"""Damping above which a star is given up."""


class Prior(NamedTuple):
    """Half χ² of a prior at θ, its gradient and a positive semidefinite curvature."""

    value: Tensor  # (B,)
    gradient: Tensor  # (B, Q)
    curvature: Tensor  # (B, Q, Q)


class Coefficients(NamedTuple):
    """Coefficients of the linear map at θ, and their Jacobian."""

    value: Tensor  # (B, M)
    jacobian: Tensor  # (B, M, Q)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Spectra to be explained, all in native pixels.

    Args:
        model: Coefficients and velocity → spectrum without continuum.
        flux: Shape (B, P); any finite value where ivar = 0.
        ivar: Shape (B, P), everything that is not model included (noise, intrinsic scatter).
        continuum: Continuum functions Φ, shape (P, C) or (B, P, C).
        coefficients: θ (B, Q) → `Coefficients`.
        value: The same without the Jacobian, (B, M).
        prior: θ (B, Q) → `Prior`.
        rv_sigma: Prior width of the velocity *correction* in km/s; 0 holds the velocity.
        lower, upper: Bounds of θ, shape (Q,).
        max_step: Largest change of a parameter in one step.
    """

    model: Linear
    flux: Tensor
    ivar: Tensor
    continuum: Tensor
    coefficients: Callable[[Tensor], Coefficients]
    value: Callable[[Tensor], Tensor]
    prior: Callable[[Tensor], Prior]
    rv_sigma: float = 30.0
    lower: Tensor | None = None
    upper: Tensor | None = None
    max_step: float = 1.0

    @cached_property
    def basis(self) -> Continuum:
        """The continuum functions, orthonormal under the weights of each star."""
        return Continuum.over(self.continuum, self.ivar)

    def take(self, rows: Tensor) -> "Problem":
        """Some of the stars."""
        return replace(
            self,
            model=self.model.take(rows),
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            continuum=self.continuum[rows] if self.continuum.dim() == 3 else self.continuum,
        )


class State(NamedTuple):
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
    """−log likelihood around a state, over coefficients and scaled velocity, the continuum eliminated; float64."""

    normal: Tensor  # (B, M + 1, M + 1)
    gradient: Tensor  # (B, M + 1), of the log likelihood


Stars = TypeVar("Stars", State, Quadratic, "_Inner")


class Solution(NamedTuple):
    """A fit and its Laplace covariance."""

    state: State
    covariance: Tensor  # (B, Q, Q) float64
    rv_error: Tensor  # (B,) km/s


def minimise(problem: Problem, theta: Tensor, *, steps: int, damping: float = 1e-3) -> State:
    """Minimise χ² + 2·prior over θ, velocity and continuum, batched over stars.

    Args:
        problem: What to explain.
        theta: Start, shape (B, Q), float64.
        steps: Looks at the pixels; a step that raises the objective of a star is undone and damped for that star
            alone.
        damping: First Levenberg–Marquardt damping.
    """
    continuum = problem.basis
    state = _evaluate(problem, continuum, theta.clone(), torch.zeros(len(theta), dtype=torch.float64))
    local = _quadratic(problem, continuum, state)
    damp = torch.full((len(theta),), damping, dtype=torch.float64)
    last = torch.zeros_like(damp)
    active = torch.arange(len(theta))
    for step in range(steps):
        own, basis = problem.take(active), continuum.take(active)
        here = _rows(state, active)
        found, rv = _advance(own, here, _rows(local, active), damp[active])
        trial = _evaluate(own, basis, found, rv)
        better, change = trial.objective <= here.objective, (trial.objective - here.objective).abs()
        here = _merged(better, trial, here)
        damp[active] = torch.where(better, damp[active] * 0.2, damp[active] * 8.0).clamp(min=1e-8)
        _put(state, active, here)
        left = change * torch.where(last[active] > 0, change / last[active], 1.0).clamp(max=1.0)
        last[active] = torch.where(better, change, 0.0)
        moving = (left > ENOUGH) & (change > ROUNDING * here.objective) & (damp[active] < STUCK)
        active = active[moving]
        if not len(active):
            break
        moved = active[better[moving]]
        if step + 1 < steps and len(moved):
            _put(local, moved, _quadratic(problem.take(moved), continuum.take(moved), _rows(state, moved)))
    return state


def best_start(problem: Problem, theta: Tensor, candidates: Tensor) -> Tensor:
    """The candidate with the lowest objective, as far as one look at the pixels tells, for every star.

    Because the model is linear in its coefficients, the quadratic around any one point says how well every other point
    fits, the best velocity and continuum included to first order.

    Args:
        problem: What to explain.
        theta: Where to look from, shape (B, Q), float64.
        candidates: Shape (N, Q), float64.

    Returns:
        Shape (B, Q).
    """
    continuum = problem.basis
    state = _evaluate(problem, continuum, theta, torch.zeros(len(theta), dtype=torch.float64))
    normal, gradient = _quadratic(problem, continuum, state)
    moving = normal[:, :-1, -1:] / (normal[:, -1:, -1:] + 1.0)
    normal_left = normal[:, :-1, :-1] - moving @ normal[:, -1:, :-1]
    gradient_left = gradient[:, :-1] - moving[..., 0] * gradient[:, -1:]
    offset = (problem.value(candidates)[None] - state.coefficients[:, None]).float()
    pulled = torch.bmm(offset, 0.5 * normal_left.float()) - gradient_left.float()[:, None]
    value = torch.linalg.vecdot(pulled, offset).double()
    return candidates[(value + problem.prior(candidates).value).argmin(1)]


def evaluate(problem: Problem, theta: Tensor, rv: Tensor) -> State:
    """The model and its objective at given parameters, the continuum at its best."""
    return _evaluate(problem, problem.basis, theta, rv)


def _evaluate(problem: Problem, continuum: Continuum, theta: Tensor, rv: Tensor) -> State:
    coefficients = problem.value(theta)
    spectrum, by_rv = problem.model.spectrum(coefficients, rv)
    ivar = problem.ivar.float()
    values, factor = continuum.profile(spectrum, problem.flux, ivar)
    residual = (problem.flux - values * spectrum) * (ivar > 0)
    chi2 = (residual.double().square() * problem.ivar).sum(1)
    objective = chi2 + 2.0 * problem.prior(theta).value + _velocity_prior(problem, rv)
    return State(theta, rv, coefficients, spectrum, by_rv, values, factor, objective, chi2)


def _velocity_prior(problem: Problem, rv: Tensor) -> Tensor:
    return (rv / problem.rv_sigma).square() if problem.rv_sigma > 0 else torch.zeros_like(rv)


def _place(problem: Problem, state: State) -> Place:
    by_rv = state.by_rv * problem.rv_sigma
    ivar = problem.ivar.float()
    return Place(
        state.coefficients, state.rv, state.spectrum, by_rv, ivar, state.continuum, problem.continuum
    )


def _quadratic(problem: Problem, continuum: Continuum, state: State) -> Quadratic:
    """Exact gradient, and the normal matrix as the linear map gives it; velocity in units of ``rv_sigma``."""
    model, at = problem.model, _place(problem, state)
    inner = at.ivar * at.level
    moving = inner * at.level * at.by_rv
    residual = inner * (problem.flux - at.level * at.spectrum)
    pulled = model.pull(residual, state.rv).double()
    products = model.products(at)
    crossed = products.velocity.double()
    normal = torch.cat([products.normal.double(), crossed[:, None]], dim=1)
    corner = torch.cat([crossed, (moving * at.by_rv).double().sum(1, keepdim=True)], dim=1)
    normal = torch.cat([normal, corner[..., None]], dim=2)
    outer = products.continuum.double() @ continuum.transform
    outer = torch.cat([outer, continuum.pull(inner * at.by_rv * at.spectrum)[:, None]], dim=1)
    slope = (residual * at.by_rv).double().sum(1, keepdim=True)
    half = torch.linalg.solve_triangular(state.factor, outer.mT, upper=False)
    eliminated = normal - half.mT @ half
    return Quadratic(eliminated, torch.cat([pulled, slope], dim=1))


class _Inner(NamedTuple):
    """The quadratic and the priors at θ and scaled velocity x."""

    theta: Tensor  # (B, Q)
    x: Tensor  # (B,)
    value: Tensor  # (B,)
    gradient: Tensor  # (B, Q + 1)
    curvature: Tensor  # (B, Q + 1, Q + 1)


class _Slope(NamedTuple):
    """What all inner steps of one look share."""

    jacobian: Tensor  # (B, M, Q) ∂g/∂θ where the look was taken
    curvature: Tensor  # (B, Q + 1, Q + 1) of the quadratic over (θ, scaled velocity)


def _slope(jacobian: Tensor, normal: Tensor) -> _Slope:
    exact = jacobian.double()
    reduced = exact.mT @ normal[:, :-1]
    full = torch.cat([reduced[..., :-1] @ exact, reduced[..., -1:]], dim=2)
    last = torch.cat([reduced[..., -1], normal[:, -1, -1:]], dim=1)
    return _Slope(exact, torch.cat([full, last[:, None]], dim=1))


def _inner(
    problem: Problem, state: State, local: Quadratic, slope: _Slope, theta: Tensor, x: Tensor
) -> _Inner:
    prior, offset = problem.prior(theta), problem.value(theta) - state.coefficients
    z = torch.cat([offset, (x - _scaled(problem, state.rv))[:, None]], dim=1)
    pulled = (local.normal @ z[..., None])[..., 0]
    value = (0.5 * pulled - local.gradient).mul(z).sum(1) + prior.value + 0.5 * x.square()
    downhill = pulled - local.gradient
    by_theta = (slope.jacobian.mT @ downhill[:, :-1, None])[..., 0] + prior.gradient
    curvature = slope.curvature.clone()
    curvature[:, :-1, :-1] += prior.curvature
    curvature[:, -1, -1] += 1.0
    return _Inner(theta, x, value, torch.cat([by_theta, downhill[:, -1:] + x[:, None]], dim=1), curvature)


def _scaled(problem: Problem, rv: Tensor) -> Tensor:
    return rv / problem.rv_sigma if problem.rv_sigma > 0 else torch.zeros_like(rv)


def _advance(problem: Problem, state: State, local: Quadratic, damp: Tensor) -> tuple[Tensor, Tensor]:
    """θ and velocity at which the damped quadratic and the priors are lowest, no further than a step may go.

    The Jacobian of the coefficients is that at the start, the coefficients themselves are those of each step.
    """
    diagonal = local.normal.diagonal(dim1=-2, dim2=-1)
    damped = local._replace(normal=local.normal + torch.diag_embed(damp[:, None] * diagonal))
    start = _scaled(problem, state.rv)
    slope = _slope(problem.coefficients(state.theta).jacobian, damped.normal)
    here = _inner(problem, state, damped, slope, state.theta, start)
    damp = torch.full_like(start, 1e-6)
    for _ in range(INNER):
        step = _newton(here, damp)
        theta = _bounded(problem, state.theta, here.theta + step[:, :-1])
        x = torch.clamp(here.x + step[:, -1], start - 2.0, start + 2.0)
        there = _inner(problem, state, damped, slope, theta, x)
        better, change = there.value <= here.value, (there.value - here.value).abs()
        here = _merged(better, there, here)
        if bool((change < ENOUGH).all()):
            break
        damp = torch.where(better, damp * 0.2, damp * 30.0).clamp(1e-8, 1e8)
    return here.theta, here.x * problem.rv_sigma


def _newton(here: _Inner, damp: Tensor) -> Tensor:
    """The damped step; where sums that only steer leave the curvature indefinite, it is damped until it is not."""
    diagonal = here.curvature.diagonal(dim1=-2, dim2=-1).clamp(min=1e-10)
    for _ in range(TRIES):
        damped = here.curvature + torch.diag_embed(damp[:, None] * diagonal + 1e-10)
        factor, failed = torch.linalg.cholesky_ex(damped)
        if not bool(failed.any()):
            break
        damp = torch.where(failed > 0, damp.clamp(min=1e-4) * 10.0, damp)
    return -torch.cholesky_solve(here.gradient[..., None], factor)[..., 0]


def _bounded(problem: Problem, origin: Tensor, theta: Tensor) -> Tensor:
    theta = torch.clamp(theta, origin - problem.max_step, origin + problem.max_step)
    if problem.lower is None or problem.upper is None:
        return theta
    return torch.maximum(torch.minimum(theta, problem.upper), problem.lower)


def with_covariance(problem: Problem, state: State) -> Solution:
    """A minimum and its Laplace covariance, from exact sums over pixels."""
    continuum = problem.basis
    jacobian, prior = problem.coefficients(state.theta).jacobian, problem.prior(state.theta)
    size = state.theta.shape[1]
    gram = problem.model.gram(_place(problem, state), jacobian)
    inner, outer = gram[:, : size + 1, : size + 1], gram[:, : size + 1, size + 1 :] @ continuum.transform
    basis = continuum.transform.mT @ gram[:, size + 1 :, size + 1 :] @ continuum.transform
    half = torch.linalg.solve_triangular(_factor(basis), outer.mT, upper=False)
    full = inner - half.mT @ half
    full[:, :size, :size] += prior.curvature
    full[:, -1, -1] += 1.0
    covariance = torch.cholesky_inverse(_factor(full))
    return Solution(state, covariance[:, :size, :size], covariance[:, -1, -1].sqrt() * problem.rv_sigma)


def _factor(matrix: Tensor) -> Tensor:
    """Cholesky factors, with as small a ridge as single precision of the sums in a matrix allows."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(diagonal > 0, diagonal, 1.0)
    ridge = torch.full_like(scale[:, :1], 1e-10)
    for _ in range(TRIES):
        factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag_embed(ridge * scale))
        if not bool(failed.any()):
            break
        ridge = torch.where(failed[:, None] > 0, ridge * 10.0, ridge)
    return factor


def _merged(better: Tensor, new: Stars, old: Stars) -> Stars:
    """Star by star the new values, or the old ones."""
    parts = zip(new, old, strict=True)
    return type(new)(*(torch.where(better.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in parts))


def _rows(stars: Stars, rows: Tensor) -> Stars:
    return type(stars)(*(part[rows] for part in stars))


def _put(stars: Stars, rows: Tensor, values: Stars) -> None:
    for part, value in zip(stars, values, strict=True):
        part[rows] = value


def origin_prior(theta: Tensor) -> Prior:
    """θ ~ N(0, I): the prior of whitened latents."""
    eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
    return Prior(0.5 * theta.square().sum(1), theta, eye)
