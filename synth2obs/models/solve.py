r"""Gauss–Newton encoding: the step from the origin that replaces the gradient step of Gradient Origin Networks.

For every star the model in native pixels is a continuum times a linear combination of projected functions,

.. math:: m = (\Phi a) \cdot (A\, c(\theta)),\qquad A = P(v)\,B ,

and θ (a latent, or labels), the velocity and the continuum are found together by damped Gauss–Newton steps

.. math:: (J^T W J + \Lambda)\, \delta = J^T W r - \nabla\text{prior} ,

with the continuum eliminated exactly (variable projection by a Schur complement), Levenberg–Marquardt damping
wherever a step would raise χ² (Bond-Taylor & Willcocks 2021, arXiv:2007.02798, for the origin; Levenberg 1944,
Marquardt 1963 for the damping). A pixel with ivar = 0 is an exact no-op.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.core.constants import C_KMS

RIDGE = 1e-5
"""Relative ridge on the continuum's normal matrix; keeps a star without good pixels solvable."""


class Prior(NamedTuple):
    """Half χ² of a prior at θ, its gradient and a positive semidefinite curvature."""

    value: Tensor  # (B,)
    gradient: Tensor  # (B, Q)
    curvature: Tensor  # (B, Q, Q)


class Coefficients(NamedTuple):
    """Coefficients of the projected functions at θ, and their Jacobian."""

    value: Tensor  # (B, M)
    jacobian: Tensor  # (B, M, Q)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Spectra to be explained, all in native pixels.

    Args:
        functions: Projected functions A of each star, shape (B, P, M), float32.
        slope: ln λ of the pixels, shape (B, P) or (P,): for the velocity's derivative.
        flux: Shape (B, P); any finite value where ivar = 0.
        ivar: Shape (B, P), everything that is not model included (noise, intrinsic scatter).
        continuum: Continuum functions Φ, shape (P, C) or (B, P, C).
        coefficients: θ (B, Q) → `Coefficients`.
        prior: θ (B, Q) → `Prior`.
        rv_sigma: Prior width of the velocity *correction* in km/s; 0 holds the velocity.
        lower, upper: Bounds of θ, shape (Q,).
        max_step: Largest change of a parameter in one step.
    """

    functions: Tensor
    log_wave: Tensor
    flux: Tensor
    ivar: Tensor
    continuum: Tensor
    coefficients: Callable[[Tensor], Coefficients]
    prior: Callable[[Tensor], Prior]
    rv_sigma: float = 30.0
    lower: Tensor | None = None
    upper: Tensor | None = None
    max_step: float = 1.0


class State(NamedTuple):
    """Where a fit stands; every field has the stars first."""

    theta: Tensor  # (B, Q) float64
    rv: Tensor  # (B,) km/s, relative to the velocity of the projected functions
    spectrum: Tensor  # (B, P) without continuum
    continuum: Tensor  # (B, P)
    objective: Tensor  # (B,) χ² + 2 prior
    chi2: Tensor  # (B,)


class Solution(NamedTuple):
    """A fit and its Laplace covariance."""

    state: State
    covariance: Tensor  # (B, Q, Q) float64
    rv_error: Tensor  # (B,) km/s


def solve(problem: Problem, theta: Tensor, *, steps: int, damping: float = 1e-3) -> Solution:
    """Minimise χ² + 2·prior over θ, velocity and continuum, batched over stars.

    Args:
        problem: What to explain.
        theta: Start, shape (B, Q), float64.
        steps: Steps; a step that raises the objective of a star is undone and damped for that star alone.
        damping: First Levenberg–Marquardt damping.
    """
    state = evaluate(problem, theta, torch.zeros(len(theta), dtype=torch.float64))
    damp = torch.full((len(theta),), damping, dtype=torch.float64)
    for _ in range(steps):
        normal, gradient = _normal_equations(problem, state)
        trial = _advance(problem, state, normal, gradient, damp)
        better = trial.objective <= state.objective
        state = State(*(_where(better, new, old) for new, old in zip(trial, state, strict=True)))
        damp = torch.where(better, damp * 0.2, damp * 8.0).clamp(1e-8, 1e8)
    normal, _ = _normal_equations(problem, state)
    return _with_covariance(problem, state, normal)


def evaluate(problem: Problem, theta: Tensor, rv: Tensor) -> State:
    """The model and its objective at given parameters, the continuum at its best."""
    coefficients = problem.coefficients(theta).value.float()
    still = torch.einsum("bpm,bm->bp", problem.functions, coefficients)
    moved = still - _by_log_wave(problem, still) * (rv / C_KMS).float()[:, None]
    continuum = _continuum(problem, moved)
    residual = (problem.flux - continuum * moved) * (problem.ivar > 0)
    chi2 = (residual.double().square() * problem.ivar).sum(1)
    prior = problem.prior(theta).value * 2.0
    if problem.rv_sigma > 0:
        prior = prior + (rv / problem.rv_sigma).square()
    return State(theta, rv, moved, continuum, chi2 + prior, chi2)


def _by_log_wave(problem: Problem, spectrum: Tensor) -> Tensor:
    """∂spectrum/∂ln λ by central differences on the native pixels."""
    x = problem.log_wave.expand_as(spectrum)
    slope = torch.zeros_like(spectrum)
    slope[:, 1:-1] = (spectrum[:, 2:] - spectrum[:, :-2]) / (x[:, 2:] - x[:, :-2]).to(spectrum.dtype)
    return slope


def _continuum(problem: Problem, spectrum: Tensor) -> Tensor:
    design = problem.continuum * spectrum[..., None]
    weighted = design * problem.ivar[..., None].float()
    normal = (weighted.mT @ design).double()
    moment = (weighted.mT @ (problem.flux * (problem.ivar > 0))[..., None]).double()
    values = torch.cholesky_solve(moment, _factor(normal)).float()
    return (problem.continuum @ values)[..., 0]


def _factor(normal: Tensor) -> Tensor:
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    ridge = RIDGE * diagonal.mean(-1, keepdim=True) + 1e-30
    return torch.linalg.cholesky(normal + torch.diag_embed(ridge.expand_as(diagonal)))


def _normal_equations(problem: Problem, state: State) -> tuple[Tensor, Tensor]:
    """JᵀWJ and JᵀWr over (θ, velocity), continuum eliminated, prior not yet added."""
    jacobian = problem.coefficients(state.theta).jacobian.float()
    columns = [problem.functions @ jacobian]
    if problem.rv_sigma > 0:
        slope = -_by_log_wave(problem, state.spectrum) / C_KMS * problem.rv_sigma
        columns.append(slope[..., None])
    inner = torch.cat(columns, dim=-1) * state.continuum[..., None]
    outer = problem.continuum * state.spectrum[..., None]
    design = torch.cat([inner, outer], dim=-1) * problem.ivar.float().sqrt()[..., None]
    residual = (problem.flux - state.continuum * state.spectrum) * (problem.ivar > 0)
    weighted = residual * problem.ivar.float().sqrt()
    normal = (design.mT @ design).double()
    moment = (design.mT @ weighted[..., None]).double()
    count = inner.shape[-1]
    factor = _factor(normal[:, count:, count:])
    cross = normal[:, count:, :count]
    pulled = torch.cholesky_solve(cross, factor)
    return (
        normal[:, :count, :count] - cross.mT @ pulled,
        (moment[:, :count] - pulled.mT @ moment[:, count:])[..., 0],
    )


def _with_prior(problem: Problem, state: State, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Normal matrix with the prior's curvature, and the prior's gradient, over (θ, scaled velocity)."""
    prior = problem.prior(state.theta)
    size = prior.gradient.shape[1]
    full = normal.clone()
    full[:, :size, :size] += prior.curvature
    gradient = normal.new_zeros(normal.shape[:2])
    gradient[:, :size] = prior.gradient
    if problem.rv_sigma > 0:
        full[:, -1, -1] += 1.0
        gradient[:, -1] = state.rv / problem.rv_sigma
    return full, gradient


def _advance(problem: Problem, state: State, normal: Tensor, moment: Tensor, damp: Tensor) -> State:
    full, gradient = _with_prior(problem, state, normal)
    diagonal = full.diagonal(dim1=-2, dim2=-1)
    damped = full + torch.diag_embed(damp[:, None] * diagonal + 1e-10)
    step = torch.cholesky_solve((moment - gradient)[..., None], torch.linalg.cholesky(damped))[..., 0]
    size = state.theta.shape[1]
    theta = state.theta + step[:, :size].clamp(-problem.max_step, problem.max_step)
    if problem.lower is not None and problem.upper is not None:
        theta = torch.maximum(torch.minimum(theta, problem.upper), problem.lower)
    rv = state.rv
    if problem.rv_sigma > 0:
        rv = rv + step[:, -1].clamp(-2.0, 2.0) * problem.rv_sigma
    return evaluate(problem, theta, rv)


def _with_covariance(problem: Problem, state: State, normal: Tensor) -> Solution:
    full, _ = _with_prior(problem, state, normal)
    tiny = 1e-10 * full.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    covariance = torch.cholesky_inverse(
        torch.linalg.cholesky(full + tiny * torch.eye(full.shape[-1], dtype=full.dtype))
    )
    size = state.theta.shape[1]
    rv_error = torch.zeros(len(full), dtype=torch.float64)
    if problem.rv_sigma > 0:
        rv_error = covariance[:, -1, -1].sqrt() * problem.rv_sigma
    return Solution(state, covariance[:, :size, :size], rv_error)


def _where(better: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(better.reshape(-1, *[1] * (new.dim() - 1)), new, old)


def origin_prior(theta: Tensor) -> Prior:
    """θ ~ N(0, I): the prior of whitened latents."""
    eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
    return Prior(0.5 * theta.square().sum(1), theta, eye)
