"""Integration over native pixels: the row of weights that takes rest-frame samples to one pixel."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.physics.lsf import Kernel, Response, cumulative


def window_length(half_width: float, reach: float) -> int:
    """Samples of a window that covers a pixel and its line spread wherever the pixel falls.

    Args:
        half_width: Half of the widest pixel, in samples.
        reach: Half length of the widest kernel, in samples.
    """
    return 2 * math.ceil(half_width + reach + 0.5) + 1


def check_window(length: int, samples: int) -> None:
    """Raises ValueError if a grid of ``samples`` is shorter than a window of ``length``."""
    if samples < length:
        raise ValueError(
            f"rest_wavelength has {samples} samples, fewer than the {length} that the line spread "
            "reaches; widen the grid's range or lower width_scale"
        )


@shaped
def row_weights(
    distance: Float[Tensor, "*any pixels"],
    half_width: Float[Tensor, "... pixels"],
    kernel: Kernel | Response,
    length: int,
) -> Float[Tensor, "*any pixels steps"]:
    """Weights of the samples of each pixel's window, summing to 1.

    Args:
        distance: Pixel centre minus first sample of the window, in samples, shape (..., P).
        half_width: Half of the pixel, in samples, broadcastable to (..., P).
        kernel: Line spread to apply, broadcastable to (..., P).
        length: Number of samples T of a window.

    Returns:
        Shape (..., P, T).
    """
    steps = torch.arange(length, device=distance.device, dtype=distance.dtype)
    if isinstance(kernel, Response):
        weights = _tabulated(steps - distance[..., None], kernel)
    else:
        weights = _integrated(distance[..., None] - steps, half_width[..., None], kernel)
    return weights * weights.sum(-1, keepdim=True).reciprocal()


def _integrated(distance: Tensor, half_width: Tensor, kernel: Kernel) -> Tensor:
    """Mean over each pixel of theory convolved with a kernel G, as weights of the samples.

    The mean over [a, b] of (f * G) is ∫ f(x) K(x) dx, K being the integral of G from a − x to b − x. Point samples
    integrate this to the aliasing error of K, which is negligible for a Gaussian from σ = 1 sample on;
    `Kernel.series` treats narrower ones.
    """
    base, amplitudes = kernel.series()
    scale = base.rsqrt()[..., None]
    upper = cumulative((distance + half_width) * scale, amplitudes)
    return upper - cumulative((distance - half_width) * scale, amplitudes)


def _tabulated(offset: Tensor, response: Response) -> Tensor:
    """The tabulated response at each sample's offset from its pixel, shape (..., P, T)."""
    place = (offset - response.start[..., None]) / response.step[..., None]
    last = response.table.shape[-1] - 1
    before = place.detach().floor().clamp(0, last - 1)
    table = response.table.expand(*place.shape[:-1], -1)
    below, above = (table.gather(-1, before.long() + k) for k in (0, 1))
    inside = (place >= 0) & (place <= last)
    return torch.where(inside, torch.lerp(below, above, place - before), 0.0)
