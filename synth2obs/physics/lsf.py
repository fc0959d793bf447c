"""Gaussian line spread on a uniform grid; every length here is in samples of that grid."""

import math

import torch
from torch import Tensor

REACH = 5.0
"""Half length of a kernel's window in σ; the tail outside holds 6e-7."""

SHARPEST = 1.2
"""Samples. The narrowest Gaussian that is sampled: even its correction aliases by only 2e-7."""

SHARPEST_REACH = 8.0
"""Samples. The correction of a narrower kernel falls off later than the Gaussian does."""

ORDERS = 5
"""Even moments that the correction of a narrow kernel restores: polynomials of degree < 12 are exact."""


def applied_variance(survey: Tensor, rest: Tensor, width_scale: Tensor | float = 1.0) -> Tensor:
    """Variance that takes the grid's own line spread to the survey's: Gaussians add in quadrature.

    Args:
        survey: Survey's σ², any unit, any shape.
        rest: The grid's own σ² in the same unit, broadcastable.
        width_scale: Factor on the survey's σ.

    Returns:
        ``width_scale² survey − rest``, held at 0 where the survey would be sharper than the grid.
    """
    return (width_scale**2 * survey - rest).clamp(min=0.0)


def reach(variance: Tensor) -> Tensor:
    """Half length of the window of a kernel of the given variance, in samples."""
    return (REACH * variance.sqrt()).clamp(min=SHARPEST_REACH)


def split_variance(variance: Tensor) -> tuple[Tensor, Tensor]:
    """Variance of the Gaussian that is sampled, and the excess that is taken out again.

    Returns:
        σ_b² = max(σ², SHARPEST²) and σ_b² − σ², both of the shape of ``variance`` (samples²).
    """
    base = variance.clamp(min=SHARPEST**2)
    return base, base - variance


def _hermite_series(t: Tensor, ratio: Tensor) -> Tensor:
    """Σ_k (−r/2)^k He_{2k−1}(t) / k! for k = 1…ORDERS, by the recurrence of the He_n."""
    total, odd, even = torch.zeros_like(t), t, t * t - 1.0
    for k in range(1, ORDERS + 1):
        total = total + (-0.5 * ratio) ** k / math.factorial(k) * odd
        odd = t * even - 2 * k * odd
        even = t * odd - (2 * k + 1) * even
    return total


def cumulative(t: Tensor, ratio: Tensor | None = None) -> Tensor:
    """Integral of the line spread from −∞ to ``t`` widths, up to a constant.

    A kernel narrower than a sample cannot be sampled. It is written as a Gaussian of width SHARPEST whose
    excess variance s² is removed by the operator exp(−s² ∂²/2), cut after ORDERS terms. As the width
    goes to zero this becomes an interpolant that is exact for polynomials of degree below 12.

    Args:
        t: Distance from the sample in units of σ_b.
        ratio: Excess s² / σ_b², broadcastable to ``t``; None where no kernel is that narrow.

    Returns:
        Φ(t) − 1/2, minus the correction, same shape as ``t``.
    """
    gaussian = 0.5 * torch.erf(t * math.sqrt(0.5))
    if ratio is None:
        return gaussian
    density = torch.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
    return gaussian - density * _hermite_series(t, ratio)


def broaden(flux: Tensor, log_step: float, sigma: Tensor) -> Tensor:
    """Line spread alone, on the rest grid itself.

    Args:
        flux: Shape (B, L) on a uniform grid in ln λ.
        log_step: Spacing of the grid in ln λ.
        sigma: Gaussian σ in ln λ at each output sample, shape (L,); at least one ``log_step``.

    Returns:
        Shape (B, L). Within reach of an end only the samples that exist count, normalised to 1.

    Raises:
        ValueError: If a σ is below one sample, or not finite.
    """
    width = sigma / log_step
    if not bool((width >= SHARPEST).all()):
        raise ValueError(
            f"sigma in ln λ must be at least one sample ({log_step:.3e}), got {float(sigma.min()):.3e}; "
            "refine the grid, or leave the layer out"
        )
    half = math.ceil(REACH * float(width.detach().max()))
    steps = torch.arange(-half, half + 1, device=flux.device, dtype=flux.dtype)
    inside = torch.nn.functional.pad(torch.ones_like(flux[0]), (half, half)).unfold(0, 2 * half + 1, 1)
    kernel = torch.exp(-0.5 * (steps / width.to(flux)[:, None]) ** 2) * inside
    kernel = kernel / kernel.sum(-1, keepdim=True)
    windows = torch.nn.functional.pad(flux, (half, half)).unfold(-1, 2 * half + 1, 1)
    return torch.einsum("blt,lt->bl", windows, kernel)
