"""Two usual ways in torch, with one kernel per detector: convolution in wavelength, and in Fourier space."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv1d

from benchmarks.peers.resamplers import KERNEL, Stretch, stretches
from benchmarks.scenes import Scene
from synth2obs.physics.doppler import log_doppler


def cubic(values: Tensor, position: Tensor) -> Tensor:
    """Four-point Lagrange interpolation of rows (B, L) at positions (B, P) counted in samples."""
    first = position.floor().long().clamp(1, values.shape[1] - 3)
    x = (position - first).to(values.dtype)
    weights = (
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    )
    found = [w * values.gather(1, first + k - 1) for k, w in enumerate(weights)]
    return found[0] + found[1] + found[2] + found[3]


class _Parts:
    """What both ways need of every detector, in samples of the rest grid."""

    def __init__(self, scene: Scene, device: torch.device) -> None:
        self.step, self.parts = scene.step, stretches(scene)
        self.positions = [_tensor(_position(part), device) for part in self.parts]

    def moved(self, number: int, rv: Tensor) -> Tensor:
        """Positions of the pixels at given velocities, shape (B, P)."""
        return self.positions[number] - (log_doppler(rv.double()) / self.step)[:, None]


def _position(part: Stretch) -> np.ndarray:
    return (0.5 * (part.lower + part.upper) - part.log_wave[0]) / part.step


def _tensor(values: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(values).to(device)


def _pixel(part: Stretch) -> float:
    """Mean width of a detector's pixels in samples."""
    return float((part.upper - part.lower).mean()) / part.step


class Convolution(_Parts):
    """`conv1d` over the whole rest grid with Gaussian and mean pixel in one kernel, then a gather."""

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor) -> Tensor:
        """Native pixels."""
        seen = []
        for number, part in enumerate(self.parts):
            kernel = self._kernel(part, width).to(flux)
            wide = conv1d(flux[:, None, part.samples], kernel[None, None], padding="same")[:, 0]
            seen.append(cubic(wide, self.moved(number, rv)))
        return torch.cat(seen, dim=1)

    def _kernel(self, part: Stretch, width: Tensor) -> Tensor:
        sigma, half = width.double() * part.sigma / part.step, 0.5 * _pixel(part)
        reach = math.ceil(KERNEL * float(sigma.detach()) + half)
        x = torch.arange(-reach, reach + 1, dtype=torch.float64, device=width.device)
        kernel = torch.special.ndtr((x + half) / sigma) - torch.special.ndtr((x - half) / sigma)
        return kernel / kernel.sum()


class Fourier(_Parts):
    """Gaussian, mean pixel and velocity as factors in Fourier space, then a gather at fixed positions."""

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor) -> Tensor:
        """Native pixels."""
        seen = []
        for number, part in enumerate(self.parts):
            own = flux[:, part.samples]
            length = own.shape[1]
            k = 2.0 * math.pi * torch.fft.rfftfreq(length, device=flux.device, dtype=torch.float64)
            damping = torch.exp(-0.5 * (width * part.sigma / part.step * k) ** 2)
            phase = -k * (log_doppler(rv.double()) / self.step)[:, None]
            pixel = torch.sinc(k * _pixel(part) / (2.0 * math.pi))
            factor = damping * pixel * torch.exp(1j * phase)
            wide = torch.fft.irfft(torch.fft.rfft(own) * factor.to(_complex(flux.dtype)), length)
            seen.append(cubic(wide, self.positions[number].expand(len(flux), -1)))
        return torch.cat(seen, dim=1)


def _complex(dtype: torch.dtype) -> torch.dtype:
    return torch.complex128 if dtype == torch.float64 else torch.complex64
