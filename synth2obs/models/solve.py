r"""Gauss–Newton encoding, which replaces the gradient step from the origin of Gradient Origin Networks.

For every star the model in native pixels is a continuum times a linear combination of projected functions,

.. math:: m = (\Phi a) \cdot (A\, c(\theta)),\qquad A = P(v)\,B ,

and θ (a latent, or labels), the velocity and the continuum are found together by damped Gauss–Newton steps

.. math:: (J^T W J + \Lambda)\, \delta = J^T W r - \nabla\text{prior} ,

with the continuum eliminated exactly (variable projection by a Schur complement), Levenberg–Marquardt
damping wherever a step would raise χ² (Bond-Taylor & Willcocks 2021, arXiv:2007.02798, for the origin;
Levenberg 1944, Marquardt 1963 for the damping). A pixel with ivar = 0 is an exact no-op.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.constants import C_KMS

RIDGE = 1e-6
"""Relative ridge on the continuum's normal matrix: above single precision, below anything that shows."""

RANK = 1e-8
"""Continuum functions whose relative variance over the good pixels is less are left out."""

FEW = 8
"""Stars worked on at a time where a matrix has a row per pixel, so that it stays within the caches."""


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
        log_wave: ln λ of the pixels, shape (B, P) or (P,): for the velocity's derivative.
        flux: Shape (B, P); any finite value where ivar = 0.
        ivar: Shape (B, P), everything that is not model included (noise, intrinsic scatter).
        continuum: Continuum functions Φ, shape (P, C) or (B, P, C).
        coefficients: θ (B, Q) → `Coefficients`.
        prior: θ (B, Q) → `Prior`.
        rv_sigma: Prior width of the velocity *correction* in km/s; 0 holds the velocity.
        lower, upper: Bounds of θ, shape (Q,).
        max_step: Largest change of a parameter in one step.
        inner: Whether both neighbours of a pixel exist, on its detector and within the grid, shape (B, P) or
            (P,); the velocity's derivative is 0 elsewhere. None: all but the first and the last pixel.
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
    inner: Tensor | None = None


class State(NamedTuple):
    """Where a fit stands; every field has the stars first."""

    theta: Tensor  # (B, Q) float64
    rv: Tensor  # (B,) km/s, relative to the velocity of the projected functions
    spectrum: Tensor  # (B, P) without continuum
    by_rv: Tensor  # (B, P) ∂spectrum/∂rv per km/s
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
    problem = _well_conditioned(problem)
    state = _evaluate(problem, theta, torch.zeros(len(theta), dtype=torch.float64))
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
    return _evaluate(_well_conditioned(problem), theta, rv)


def _evaluate(problem: Problem, theta: Tensor, rv: Tensor) -> State:
    coefficients = problem.coefficients(theta).value.float()
    still = torch.einsum("bpm,bm->bp", problem.functions, coefficients)
    by_rv = _differences(still, _spacing(problem)) / -C_KMS
    moved = still + by_rv * rv.float()[:, None]
    continuum = _continuum(problem, moved)
    residual = (problem.flux - continuum * moved) * (problem.ivar > 0)
    chi2 = (residual.double().square() * problem.ivar).sum(1)
    prior = problem.prior(theta).value * 2.0
    if problem.rv_sigma > 0:
        prior = prior + (rv / problem.rv_sigma).square()
    return State(theta, rv, moved, by_rv, continuum, chi2 + prior, chi2)


def _spacing(problem: Problem) -> Tensor:
    """1 / (ln λ of the next pixel − that of the previous), 0 where one of them is missing, shape (B, P)."""
    x = problem.log_wave.expand_as(problem.flux)
    inverse = pad(1.0 / (x[:, 2:] - x[:, :-2]), (1, 1)).float()
    return inverse if problem.inner is None else inverse.where(problem.inner, 0.0)


def _differences(values: Tensor, spacing: Tensor) -> Tensor:
    """Central differences along the pixels times ``spacing``: ∂/∂ln λ of values (B, P) or (B, P, K)."""
    slope = torch.zeros_like(values)
    slope[:, 1:-1] = values[:, 2:] - values[:, :-2]
    return slope * spacing


def _few(problem: Problem) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a few stars at a time, and their continuum functions, (P, C) or (b, P, C)."""
    for start in range(0, max(len(problem.flux), 1), FEW):
        rows = slice(start, start + FEW)
        yield rows, problem.continuum[rows] if problem.continuum.dim() == 3 else problem.continuum


def _well_conditioned(problem: Problem) -> Problem:
    """The same problem with continuum functions that are orthonormal over each star's good pixels.

    Polynomials on a detector that is masked in part are nearly dependent: their normal matrix is not positive
    in single precision. Their span, which alone matters, is kept.
    """
    parts = []
    for rows, own in _few(problem):
        functions = own.double()
        weighted = functions * problem.ivar[rows].double()[..., None]
        values, vectors = torch.linalg.eigh(weighted.mT @ functions)
        kept = values > RANK * values[:, -1:].clamp(min=1e-300)
        scale = torch.where(kept, values.clamp(min=1e-300).rsqrt(), 0.0)
        parts.append((functions @ (vectors * scale[:, None])).float())
    return replace(problem, continuum=torch.cat(parts))


def _continuum(problem: Problem, spectrum: Tensor) -> Tensor:
    weight = problem.ivar.float().sqrt()
    target = (problem.flux * weight)[..., None]
    scale = (spectrum * weight)[..., None]
    parts = []
    for rows, functions in _few(problem):
        design = torch.cat([functions * scale[rows], target[rows]], dim=-1)
        normal = (design.mT @ design).double()
        values = torch.cholesky_solve(normal[:, :-1, -1:], _factor(normal[:, :-1, :-1]))
        parts.append((functions @ values.float())[..., 0])
    return torch.cat(parts)


def _factor(normal: Tensor) -> Tensor:
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    ridge = RIDGE * diagonal.mean(-1, keepdim=True) + 1e-30
    return torch.linalg.cholesky(normal + torch.diag_embed(ridge.expand_as(diagonal)))


def _normal_equations(problem: Problem, state: State) -> tuple[Tensor, Tensor]:
    """JᵀWJ and JᵀWr over (θ, velocity), continuum eliminated, prior not yet added."""
    full = _gram(problem, state, problem.coefficients(state.theta).jacobian.float())
    count = state.theta.shape[1] + (problem.rv_sigma > 0)
    last = slice(count, -1)
    inner, moment = full[:, :count, :count], full[:, :, -1:]
    cross = full[:, last, :count]
    pulled = torch.cholesky_solve(cross, _factor(full[:, last, last]))
    return inner - cross.mT @ pulled, (moment[:, :count] - pulled.mT @ moment[:, last])[..., 0]


def _gram(problem: Problem, state: State, jacobian: Tensor) -> Tensor:
    """Products over the pixels of all columns: θ, velocity, continuum, residual; float64."""
    weight = problem.ivar.float().sqrt()
    residual = ((problem.flux - state.continuum * state.spectrum) * weight)[..., None]
    still, outer = (state.continuum * weight)[..., None], (state.spectrum * weight)[..., None]
    moving = residual[..., :0]
    if problem.rv_sigma > 0:
        moving = (state.by_rv * problem.rv_sigma)[..., None] * still
    shift = (_spacing(problem) * (state.rv / -C_KMS).float()[:, None])[..., None]
    parts = []
    for rows, functions in _few(problem):
        theta = problem.functions[rows] @ jacobian[rows]
        theta = (theta + _differences(theta, shift[rows])) * still[rows]
        columns = torch.cat([theta, moving[rows], functions * outer[rows], residual[rows]], dim=-1)
        parts.append(columns.mT @ columns)
    return torch.cat(parts).double()


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
    return _evaluate(problem, theta, rv)


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
