"""Which arguments of an operator automatic differentiation reaches, and whether it is right."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.peers.operators import Operator
from benchmarks.scenes import Scene, make_scene
from benchmarks.truth import random_stars

ARGUMENTS = ("flux", "velocity", "width")
STEPS = (1e-3, 1e-5, 1e-5)
"""Of the central differences: flux, km/s, share of σ."""

AGREEMENT = 1e-4
"""Relative difference that passes; central differences in float64 are good to 1e-7 or better here."""


def differentiable(build: Callable[[Scene], Operator]) -> str:
    """Names of the arguments whose gradient exists and agrees with finite differences, on a small scene."""
    scene = make_scene("tiny", 4096)
    stars = random_stars(scene, 2)
    operator, random = build(scene), torch.Generator().manual_seed(0)
    at = [torch.from_numpy(stars.flux), torch.from_numpy(stars.rv), torch.ones((), dtype=torch.float64)]
    weight = torch.randn(stars.pixels.shape, generator=random, dtype=torch.float64)

    def total(values: list[Tensor]) -> Tensor:
        return (operator(*values).double() * weight).sum()

    found = []
    for place, (name, step) in enumerate(zip(ARGUMENTS, STEPS, strict=True)):
        direction = torch.randn(at[place].shape, generator=random, dtype=torch.float64)
        slope = _slope(total, at, place, direction)
        numeric = _central(total, at, place, direction * step) / (2 * step)
        if slope is not None and abs(slope - numeric) <= AGREEMENT * abs(numeric):
            found.append(name)
    return ", ".join(found) or "none"


def _slope(
    total: Callable[[list[Tensor]], Tensor], at: list[Tensor], place: int, direction: Tensor
) -> float | None:
    values = [value.clone() for value in at]
    values[place].requires_grad_()
    result = total(values)
    if not result.requires_grad:
        return None
    (gradient,) = torch.autograd.grad(result, values[place], allow_unused=True)
    return None if gradient is None else float((gradient * direction).sum())


@torch.no_grad()
def _central(total: Callable[[list[Tensor]], Tensor], at: list[Tensor], place: int, change: Tensor) -> float:
    def moved(sign: float) -> float:
        return float(total([v + sign * change if n == place else v for n, v in enumerate(at)]))

    return moved(1.0) - moved(-1.0)
