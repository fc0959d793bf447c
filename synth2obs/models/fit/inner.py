"""Damped Gauss–Newton steps in the coefficients, which touch no pixel."""

from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.fit.objective import ENOUGH, Iterate, Objective, Quadratic, merged, scaled_velocity

INNER = 6
"""Damped Gauss–Newton steps in the coefficients for every look at the pixels."""


TRIES = 8
"""Dampings or ridges tried, each ten times the last."""


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
    objective: Objective, iterate: Iterate, local: Quadratic, slope: _Slope, theta: Tensor, x: Tensor
) -> _Inner:
    prior = objective.parameters.prior(theta)
    offset = objective.parameters.value(theta) - iterate.coefficients
    z = torch.cat([offset, (x - scaled_velocity(objective, iterate.rv))[:, None]], dim=1)
    pulled = (local.normal @ z[..., None])[..., 0]
    value = (0.5 * pulled - local.gradient).mul(z).sum(1) + prior.value + 0.5 * x.square()
    downhill = pulled - local.gradient
    by_theta = (slope.jacobian.mT @ downhill[:, :-1, None])[..., 0] + prior.gradient
    curvature = slope.curvature.clone()
    curvature[:, :-1, :-1] += prior.curvature
    curvature[:, -1, -1] += 1.0
    return _Inner(theta, x, value, torch.cat([by_theta, downhill[:, -1:] + x[:, None]], dim=1), curvature)


def advance(objective: Objective, iterate: Iterate, local: Quadratic, damp: Tensor) -> tuple[Tensor, Tensor]:
    """θ and velocity at which the damped quadratic and the priors are lowest, no further than a step may go.

    The Jacobian of the coefficients is that at the start, the coefficients themselves are those of each step.
    """
    diagonal = local.normal.diagonal(dim1=-2, dim2=-1)
    damped = local._replace(normal=local.normal + torch.diag_embed(damp[:, None] * diagonal))
    start = scaled_velocity(objective, iterate.rv)
    slope = _slope(local.jacobian, damped.normal)
    here = _inner(objective, iterate, damped, slope, iterate.theta, start)
    damp, settled = torch.full_like(start, 1e-6), torch.zeros_like(start, dtype=torch.bool)
    for _ in range(INNER):
        step = _newton(here, damp)
        theta = objective.parameters.bounded(iterate.theta, here.theta + step[:, :-1])
        x = torch.clamp(here.x + step[:, -1], start - 2.0, start + 2.0)
        there = _inner(objective, iterate, damped, slope, theta, x)
        better, change = there.value <= here.value, (there.value - here.value).abs()
        # A star that has arrived stays: its result must not hang on how long its batch goes on.
        here = merged(better & ~settled, there, here)
        settled |= change < ENOUGH
        if bool(settled.all()):
            break
        damp = torch.where(better, damp * 0.2, damp * 30.0).clamp(1e-8, 1e8)
    return here.theta, here.x * objective.rv_sigma


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
