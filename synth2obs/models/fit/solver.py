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

import torch
from torch import Tensor

from synth2obs.models.fit.inner import advance
from synth2obs.models.fit.objective import (
    ENOUGH,
    ROUNDING,
    Iterate,
    Objective,
    Quadratic,
    evaluate,
    far_quadratic,
    merged,
    put,
    quadratic,
    rows_of,
    tilted,
)

STUCK = 1e4
"""Damping above which a star is given up."""

FAR = 3.0
"""Fall of the objective in one step above which the normal matrix is summed anew."""


def minimise(
    objective: Objective, theta: Tensor, *, steps: int, enough: float = ENOUGH, damping: float = 1e-3
) -> Iterate:
    """Minimise χ² + 2·prior over θ, velocity and continuum, batched over stars.

    Args:
        objective: What to explain.
        theta: Start, shape (B, Q), float64.
        steps: Looks at the pixels; a step that raises the objective of a star is undone and damped for that star
            alone.
        enough: Objective still to be gained below which a star is left alone.
        damping: First Levenberg–Marquardt damping.
    """
    iterate = evaluate(objective, theta.clone(), torch.zeros(len(theta), dtype=torch.float64))
    local = quadratic(objective, iterate)
    damp = torch.full((len(theta),), damping, dtype=torch.float64)
    last = torch.zeros_like(damp)
    active = torch.arange(len(theta))
    for step in range(steps):
        own = objective.take(active)
        here = rows_of(iterate, active)
        found, rv = advance(own, here, rows_of(local, active), damp[active])
        trial = evaluate(own, found, rv)
        better, change = trial.objective <= here.objective, (trial.objective - here.objective).abs()
        here = merged(better, trial, here)
        damp[active] = torch.where(better, damp[active] * 0.2, damp[active] * 8.0).clamp(min=1e-8)
        put(iterate, active, here)
        left = change * torch.where(last[active] > 0, change / last[active], 1.0).clamp(max=1.0)
        last[active] = torch.where(better, change, 0.0)
        moving = (left > enough) & (change > ROUNDING * here.objective) & (damp[active] < STUCK)
        active = active[moving]
        if not len(active):
            break
        if step + 1 < steps:
            _look_again(objective, iterate, local, active[better[moving]], change[moving & better])
    return iterate


def _look_again(
    objective: Objective, iterate: Iterate, local: Quadratic, moved: Tensor, change: Tensor
) -> None:
    """The quadratic where stars have moved to; those that have hardly moved keep their normal matrix."""
    far, near = moved[change > FAR], moved[change <= FAR]
    if len(far):
        put(local, far, quadratic(objective.take(far), rows_of(iterate, far)))
    if len(near):
        put(local, near, tilted(objective.take(near), rows_of(iterate, near), local.normal[near]))


def best_start(objective: Objective, theta: Tensor, candidates: Tensor) -> Tensor:
    """The candidate with the lowest objective, as far as one look at the pixels tells, for every star.

    Because the model is linear in its coefficients, the quadratic around any one point says how well every other point
    fits, the best velocity and continuum included to first order.

    Args:
        objective: What to explain.
        theta: Where to look from, shape (B, Q), float64.
        candidates: Shape (N, Q), float64.

    Returns:
        Shape (B, Q).
    """
    objective = objective.independent
    iterate = evaluate(objective, theta, torch.zeros(len(theta), dtype=torch.float64))
    normal, gradient = far_quadratic(objective, iterate)
    moving = normal[:, :-1, -1:] / (normal[:, -1:, -1:] + 1.0)
    normal_left = normal[:, :-1, :-1] - moving @ normal[:, -1:, :-1]
    gradient_left = gradient[:, :-1] - moving[..., 0] * gradient[:, -1:]
    coefficients, prior = objective.parameters.among(candidates)
    offset = (coefficients[None] - iterate.coefficients[:, None]).float()
    pulled = torch.bmm(offset, 0.5 * normal_left.float()) - gradient_left.float()[:, None]
    value = torch.linalg.vecdot(pulled, offset).double()
    return candidates[(value + prior).argmin(1)]
