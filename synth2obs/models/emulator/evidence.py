"""Settings of a kernel by marginal likelihood."""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.emulator.structured import StructuredKernel

RATE = 0.1
"""Learning rate of the logarithms of the settings, in the first step."""

SHRINKAGE = 0.003
"""Cost of a squared gain of an element with a core label: gains of elements that do not show stay zero."""


@shaped
def profile_evidence(
    kernel: StructuredKernel, x: Float64[Tensor, "stars labels"], products: Float64[Tensor, "stars stars"]
) -> Float64[Tensor, ""]:
    r"""−2/MN ln p of M outputs with one common variance at its best value, but for a constant.

    .. math:: \tfrac1N \ln |K| + \ln \mathrm{tr}(K^{-1} C C^T)

    Pixels or latents enter through their products alone, and their number not at all.

    Args:
        kernel: Its settings.
        x: Labels, shape (N, K).
        products: C Cᵀ of outputs without their mean, shape (N, N).
    """
    white = kernel.variance * torch.eye(len(x), dtype=x.dtype)
    at = kernel.acting(x)
    factor = torch.linalg.cholesky(kernel(at, at) + white)
    inverse = torch.cholesky_inverse(factor)
    return 2.0 * factor.diagonal().log().sum() / len(x) + (inverse * products).sum().log()


@torch.enable_grad()
def learn(kernel: StructuredKernel, x: Tensor, outputs: Tensor, steps: int, rate: float = RATE) -> float:
    """Raise the evidence by Adam steps from the kernel's present settings.

    Args:
        kernel: Changed.
        x: Labels, shape (N, K).
        outputs: Shape (N, M); any unit.
        steps: Number of steps; the rate falls to zero as a cosine.
        rate: Of the first.

    Returns:
        What `profile_evidence` and the cost of gains came to.
    """
    offset = outputs - outputs.mean(0)
    products = offset @ offset.T
    products = products / products.diagonal().mean().clamp(min=1e-300)
    kernel.requires_grad_(True)
    optimizer = torch.optim.Adam(kernel.parameters(), lr=rate)
    lowest = math.inf
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.5 * rate * (1.0 + math.cos(math.pi * step / steps))
        loss = profile_evidence(kernel, x, products) + SHRINKAGE * kernel.gain.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lowest = min(lowest, loss.item())
    kernel.requires_grad_(False)
    kernel.learned.fill_(True)
    return lowest
