"""rvspecfit's two ways: templates brought to a survey's resolution beforehand, or its resolution matrix afterwards.

Its C spline keeps work space on the stack, 17 MB for 300,000 samples; on the usual 8 MB the process dies. Its calls
therefore run on a thread whose stack is large enough.
"""

import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers.resamplers import StarByStar, Stretch, stretches
from benchmarks.scenes import VELOCITY, Array, Scene
from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA

STACK = 2**28
"""Bytes of stack: enough for five million samples."""

INFINITE = 1e12
"""Resolving power of the rest grid."""


def _start_with_stack() -> ThreadPoolExecutor:
    before = threading.stack_size(STACK)
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()
    threading.stack_size(before)
    return pool


class _Deep(ABC):
    """An operator whose calls run on a thread with a large stack."""

    def __init__(self, scene: Scene) -> None:
        self.pool = _start_with_stack()
        self.parts = stretches(scene)
        self.operator = StarByStar(scene, self.see)

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor) -> Tensor:
        """Native pixels; without gradients."""
        return self.pool.submit(self.operator, flux, rv, width).result()

    @abstractmethod
    def see(self, number: int, flux: Array, shift: float) -> Array:
        """One detector of one star."""


class Rebinned(_Deep):
    """`make_rebinner` to a template grid, with λ-dependent resolution; then `getRVInterpol` and `evalRV`."""

    def __init__(self, scene: Scene, device: torch.device) -> None:
        super().__init__(scene)
        self.grids = [_template_grid(part) for part in self.parts]
        self.matrices = [
            self._matrix(scene, part, grid) for part, grid in zip(self.parts, self.grids, strict=True)
        ]

    def _matrix(self, scene: Scene, part: Stretch, grid: Array) -> Any:
        from rvspecfit.read_grid import make_rebinner

        native = scene.wavelength[part.pixels]
        power = native / (scene.sigma[part.pixels] * FWHM_PER_SIGMA)
        return make_rebinner(
            np.exp(part.log_wave), grid, lambda wave: np.interp(wave, native, power), INFINITE, toair=False
        )

    def see(self, number: int, flux: Array, shift: float) -> Array:
        """Template, spline, velocity."""
        from rvspecfit.read_grid import apply_rebinner
        from rvspecfit.spec_fit import evalRV, getRVInterpol

        template = apply_rebinner(self.matrices[number], flux)
        spline = getRVInterpol(self.grids[number], template)
        return np.asarray(evalRV(spline, C_KMS * np.tanh(shift), np.exp(self.parts[number].centre)))


class Resolution(_Deep):
    """`getRVInterpol` and `evalRV` on the rest grid itself, then `construct_resol_mat` on the native pixels."""

    def __init__(self, scene: Scene, device: torch.device) -> None:
        from rvspecfit.spec_fit import construct_resol_mat

        super().__init__(scene)
        self.matrices = [
            construct_resol_mat(scene.wavelength[part.pixels], width=scene.sigma[part.pixels])
            for part in self.parts
        ]

    def see(self, number: int, flux: Array, shift: float) -> Array:
        """Spline, velocity, matrix."""
        from rvspecfit.spec_fit import convolve_resol, evalRV, getRVInterpol

        part = self.parts[number]
        spline = getRVInterpol(np.exp(part.log_wave), flux)
        sampled = evalRV(spline, C_KMS * np.tanh(shift), np.exp(part.centre))
        return np.asarray(convolve_resol(sampled, self.matrices[number]))


def _template_grid(part: Stretch) -> Array:
    """Wavelengths in Å, uniform in ln λ, that the fastest star's pixels stay within.

    One sample per pixel: the rebinner integrates over a sample, so that a finer grid would have pixels too narrow (ten
    times the error, at twice the time).
    """
    step = float((part.upper - part.lower).mean())
    beyond = 1.05 * VELOCITY / C_KMS + 2 * step
    start, stop = part.lower[0] - beyond, part.upper[-1] + beyond
    return np.exp(start + step * np.arange(int((stop - start) / step) + 1))
