"""Line spread on a uniform grid; every length here is in samples of that grid."""

import math
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped

REACH = 5.5
"""Half length of a kernel's window in σ; the tail outside holds 4e-8."""

HERMITE_REACH = 6.5
"""The same with Hermite terms, which fall off later."""

SHARPEST = 1.2
"""Samples. The narrowest Gaussian that is sampled: even its correction aliases by only 2e-7."""

SHARPEST_REACH = 8.0
"""Samples. The correction of a narrower kernel falls off later than the Gaussian does."""

ORDERS = 5
"""Even moments that the correction of a narrow kernel restores: polynomials of degree < 12 are exact."""

DEGREE = 14
"""Highest power of ∂ that is kept where several corrections multiply."""


@shaped
def applied_variance(
    survey: Float[Tensor, "..."], rest: Float[Tensor, "..."], width_scale: Float[Tensor, ""] | float = 1.0
) -> Float[Tensor, "..."]:
    """Variance that takes the grid's own line spread to the survey's: Gaussians add in quadrature.

    Args:
        survey: Survey's σ², any unit, any shape.
        rest: The grid's own σ² in the same unit, broadcastable.
        width_scale: Factor on the survey's σ.

    Returns:
        ``width_scale² survey − rest``, held at 0 where the survey would be sharper than the grid.
    """
    return (width_scale**2 * survey - rest).clamp(min=0.0)


@shaped
class Kernel(NamedTuple):
    """Line spread that is still to be applied at every pixel; lengths in samples.

    The kernel is a polynomial in the derivative ∂ acting on a Gaussian G: broadening, the Gauss–Hermite terms, a
    kernel narrower than a sample and the undoing of an average all are of this form.

    Args:
        variance: σ² of the Gaussian, shape (..., P).
        width: The survey's σ, in units of which the Hermite terms are given, shape (..., P).
        hermite: Amplitudes h_1 … h_M of He_m(t), probabilists' Hermite polynomials, in φ(t) (1 + Σ h_m He_m(t)) with
            t = (pixel − light) / width, shape (..., P, M); None for a Gaussian.
        averaged: Fourth and sixth order (a_4, a_6) of the operator 1 + a_4 ∂⁴ + a_6 ∂⁶ that undoes an average.
    """

    variance: Float[Tensor, "... pixels"]
    width: Float[Tensor, "... pixels"] | None = None
    hermite: Float[Tensor, "... pixels orders"] | None = None
    averaged: tuple[float, float] | None = None

    def reach(self) -> Float[Tensor, "... pixels"]:
        """Half length of the kernel's window, in samples."""
        widths = REACH if self.hermite is None else HERMITE_REACH
        return (widths * self.variance.sqrt()).clamp(min=SHARPEST_REACH)

    def map(self, change: Callable[[Tensor], Tensor]) -> "Kernel":
        """The kernel with every tensor changed: another precision, or some of the pixels."""
        width, hermite = (None if part is None else change(part) for part in (self.width, self.hermite))
        return Kernel(change(self.variance), width, hermite, self.averaged)

    def series(self) -> tuple[Tensor, list[Tensor] | None]:
        """Variance σ_b² ≥ SHARPEST² that is sampled, and the amplitudes of He_1, He_2 … at that width.

        With y = −σ_b ∂, He_m φ = yᵐ φ, so that operators multiply as polynomials in y. A Gaussian narrower than
        SHARPEST is exp(−(σ_b² − σ²) ∂²/2) G_b, cut after ∂¹⁰.
        """
        base = self.variance.clamp(min=SHARPEST**2)
        factors = []
        if bool((self.variance < base).any()):
            ratio = -0.5 * (1.0 - self.variance / base)
            factors.append({2 * k: ratio**k / math.factorial(k) for k in range(1, ORDERS + 1)})
        if self.hermite is not None and self.width is not None:
            relative = self.width * base.rsqrt()
            amplitudes = self.hermite.unbind(-1)
            factors.append({m: h * relative**m for m, h in enumerate(amplitudes, start=1)})
        if self.averaged is not None:
            factors.append({n: a / base ** (n // 2) for n, a in zip((4, 6), self.averaged, strict=True)})
        return base, _product(factors) if factors else None


@shaped
class Response(NamedTuple):
    """Tabulated responses of pixels to monochromatic light, the pixels' extent included; lengths in samples.

    Args:
        table: Values at equal steps of offset (light − pixel), linear in between and 0 outside, shape (..., P, J).
        start: Offset of the first entry, shape (..., P).
        step: Spacing, shape (..., P).
    """

    table: Float[Tensor, "... pixels entries"]
    start: Float[Tensor, "... pixels"]
    step: Float[Tensor, "... pixels"]

    def reach(self) -> Float[Tensor, "... pixels"]:
        """Half length of the window that holds the table, in samples."""
        end = self.start + (self.table.shape[-1] - 1) * self.step
        return torch.maximum(self.start.abs(), end.abs())

    def map(self, change: Callable[[Tensor], Tensor]) -> "Response":
        """The responses with every tensor changed: another precision, or some of the pixels."""
        return Response(*(change(part) for part in self))


def _product(factors: list[dict[int, Tensor]]) -> list[Tensor]:
    """Coefficients of y¹ … of Π (1 + Σ_m c_m yᵐ), cut after DEGREE."""
    total = dict(factors[0])
    for factor in factors[1:]:
        terms = [*total.items(), *factor.items()]
        terms += [
            (m + n, a * b) for (m, a), (n, b) in product(total.items(), factor.items()) if m + n <= DEGREE
        ]
        total = {}
        for m, term in terms:
            total[m] = total[m] + term if m in total else term
    zero = torch.zeros_like(next(iter(total.values())))
    return [total.get(m, zero) for m in range(1, max(total) + 1)]


def _hermite_sum(t: Tensor, amplitudes: list[Tensor]) -> Tensor:
    """Σ_m c_m He_{m−1}(t) by the recurrence of the He_m; c_m of shape (..., P), t of shape (..., P, T)."""
    total, before, here = torch.zeros_like(t), torch.zeros_like(t), torch.ones_like(t)
    for m, amplitude in enumerate(amplitudes):
        total = total + amplitude[..., None] * here
        before, here = here, t * here - m * before
    return total


@shaped
def cumulative(
    t: Float[Tensor, "*any steps"], amplitudes: list[Tensor] | None = None
) -> Float[Tensor, "*any steps"]:
    """Integral of φ(t) (1 + Σ_m c_m He_m(t)) from −∞ to ``t``, minus 1/2.

    He_m φ is the derivative of −He_{m−1} φ, so that the integral over a pixel is exact at every order.

    Args:
        t: Distance in units of the width, shape (..., P, T).
        amplitudes: c_1, c_2, …, each of shape (..., P); None for a Gaussian.
    """
    gaussian = 0.5 * torch.erf(t * math.sqrt(0.5))
    if amplitudes is None:
        return gaussian
    density = torch.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)
    return gaussian - density * _hermite_sum(t, amplitudes)


@shaped
def broaden(
    flux: Float[Tensor, "stars cells"], log_step: float, sigma: Float[Tensor, " cells"]
) -> Float[Tensor, "stars cells"]:
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
