"""Convolution in ln λ with a kernel that is known by its Fourier transform."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from synth2obs.core.shapes import shaped

GUARD = 16
"""Samples by which band-limited interpolation carries the influence of an end beyond the kernel itself."""


@shaped
def frequencies(flux: Float[Tensor, "..."], log_step: float) -> Float[Tensor, " frequencies"]:
    """Angular frequencies at which `convolve` needs the transform of a kernel.

    Args:
        flux: Shape (B, L); gives number, type and device.
        log_step: Spacing of the grid in ln λ.

    Returns:
        Radians per unit of ln λ, from 0 to the Nyquist frequency π / log_step, shape (L + 1,).

    Raises:
        ValueError: If ``log_step`` is not positive and finite, or ``flux`` is not a batch of spectra.
    """
    if not 0.0 < log_step < math.inf:
        raise ValueError(
            f"log_step in ln λ must be positive and finite, got {log_step}; see core.wavelengths.log_step"
        )
    if flux.ndim != 2 or flux.shape[1] == 0:
        raise ValueError(f"flux has shape {tuple(flux.shape)}; give spectra in rows, shape (B, L) with L > 0")
    samples = flux.shape[1]
    return torch.arange(samples + 1, dtype=flux.dtype, device=flux.device) * (math.pi / samples / log_step)


@shaped
def convolve(
    flux: Float[Tensor, "stars cells"], transform: Float[Tensor, "... frequencies"]
) -> Float[Tensor, "stars cells"]:
    """Convolution with an even kernel, exact for a spectrum without power beyond the Nyquist frequency.

    The spectrum is continued beyond each end as its own mirror image (its discrete cosine transform is
    multiplied). So nothing wraps around from the other end, flat stays flat up to the last sample, the
    sum over the samples is kept, and kernels commute, ends included. No sample depends on the widths of
    other stars. Fastest when 2 L has small prime factors only.

    Args:
        flux: Finite, shape (B, L) on a uniform grid in ln λ without holes.
        transform: Fourier transform of the kernel at `frequencies`, real, shape (L + 1,) or (B, L + 1).

    Returns:
        Shape (B, L).
    """
    if not len(flux):
        return flux
    samples = flux.shape[1]
    mirrored = torch.cat([flux, flux.flip(-1)], dim=-1)
    product = torch.fft.rfft(mirrored) * transform
    return torch.fft.irfft(product, n=2 * samples)[:, :samples]


@shaped
def column(
    name: str,
    values: Float[Tensor, "..."] | float,
    flux: Float[Tensor, "stars cells"],
    remedy: str,
    upper: float = math.inf,
) -> Float[Tensor, "rows 1"]:
    """One number per star, as a column in the type of the flux.

    Args:
        name: Of the argument, with its unit, for the message.
        values: A scalar for all stars, or shape (B,).
        flux: Shape (B, L).
        remedy: What a user can do about a value that is refused.
        upper: Largest value allowed; the smallest is 0.

    Returns:
        Shape (1, 1) or (B, 1), differentiable in ``values``.

    Raises:
        ValueError: If the shape is another, or a value is negative, above ``upper`` or not finite.
    """
    numbers = torch.as_tensor(values, dtype=flux.dtype, device=flux.device)
    if numbers.shape not in (torch.Size(), flux.shape[:1]):
        raise ValueError(
            f"{name} has shape {tuple(numbers.shape)} for {len(flux)} spectra; "
            "give one value for all of them or one for each"
        )
    bad = ~((numbers >= 0) & (numbers <= upper) & numbers.isfinite())
    if bool(bad.any()):
        limit = "and finite" if math.isinf(upper) else f"and at most {upper:g}"
        raise ValueError(
            f"{name} must be at least 0 {limit}, got {float(numbers[bad].flatten()[0])}; {remedy}"
        )
    return numbers.reshape(-1, 1)


@shaped
def samples_reached(distance: Float[Tensor, " stars"], log_step: float) -> Int[Tensor, " stars"]:
    """Samples at each end of a grid that know of flux beyond it.

    Args:
        distance: Half length of the kernel in ln λ, shape (B,).
        log_step: Spacing of the grid in ln λ.

    Returns:
        Shape (B,), int64; 0 where the distance is 0.
    """
    reached = (distance.detach() / log_step).ceil().long() + GUARD
    return torch.where(distance > 0, reached, 0)
