"""Integration over native pixels: the row of weights that takes rest-frame samples to one pixel."""

import math

import torch
from torch import Tensor

from synth2obs.physics.lsf import cumulative, split_variance


def window_length(half_width: float, reach: float) -> int:
    """Samples of a window that covers a pixel and its line spread wherever the pixel falls.

    Args:
        half_width: Half of the widest pixel, in samples.
        reach: Half length of the widest kernel, in samples.
    """
    return 2 * math.ceil(half_width + reach + 0.5) + 1


def window_start(nearest: Tensor, length: int, samples: int) -> Tensor:
    """First sample of the window around ``nearest``, moved so that it stays on the grid.

    Raises:
        ValueError: If the grid is shorter than the window.
    """
    if samples < length:
        raise ValueError(
            f"rest_wavelength has {samples} samples, fewer than the {length} that the line spread "
            "reaches; widen the grid's range or lower width_scale"
        )
    return (nearest - length // 2).clamp(0, samples - length)


def row_weights(distance: Tensor, half_width: Tensor, variance: Tensor, length: int) -> Tensor:
    """Weights of the samples of each pixel's window, summing to 1.

    The mean over the pixel of theory f convolved with a Gaussian G is ∫ f(x) K(x) dx with
    K(x) ∝ Φ((b − x)/σ) − Φ((a − x)/σ). Point samples integrate this to the aliasing error of K,
    which is negligible from σ = 1 sample on; `cumulative` treats narrower kernels.

    Args:
        distance: Pixel centre minus first sample of the window, in samples, shape (..., P).
        half_width: Half of the pixel, in samples, broadcastable to (..., P).
        variance: σ² of the line spread in samples², broadcastable to (..., P).
        length: Number of samples T of a window.

    Returns:
        Shape (..., P, T).
    """
    base, excess = split_variance(variance)
    ratio = (excess / base)[..., None] if bool((excess > 0).any()) else None
    scale = base.rsqrt()[..., None]
    steps = torch.arange(length, device=distance.device, dtype=distance.dtype)
    upper = cumulative(((distance + half_width)[..., None] - steps) * scale, ratio)
    lower = cumulative(((distance - half_width)[..., None] - steps) * scale, ratio)
    weights = upper - lower
    return weights * weights.sum(-1, keepdim=True).reciprocal()
