"""Broadening and resampling with specutils, spectres and PyAstronomy, star by star in float64.

Their kernels are constant, so every detector has the mean of its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from benchmarks.scenes import SIGMAS, VELOCITY, Array, Scene
from synth2obs.core.constants import C_KMS

KERNEL = 6.0
"""Half length of kernels in σ: the tail outside holds 2e-9."""


@dataclass(frozen=True)
class Stretch:
    """One detector, and the part of the rest grid that its stars can come from.

    Args:
        samples: Of the rest grid.
        pixels: Of the survey.
        log_wave: ln λ of these samples.
        centre, lower, upper: ln λ of these pixels.
        sigma: Mean line spread of the detector in ln λ.
        step: Of the rest grid in ln λ.
    """

    samples: slice
    pixels: slice
    log_wave: Array
    centre: Array
    lower: Array
    upper: Array
    sigma: float
    step: float


def stretches(scene: Scene) -> list[Stretch]:
    """A scene's detectors in order."""
    log_wave, (lower, upper), parts = np.log(scene.rest), scene.edges, []
    for number in np.unique(scene.segment):
        own = np.nonzero(scene.segment == number)[0]
        pixels = slice(int(own[0]), int(own[-1]) + 1)
        spread = scene.sigma[pixels] / scene.wavelength[pixels]
        beyond = 1.1 * VELOCITY / C_KMS + SIGMAS * float(spread.max())
        ends = np.searchsorted(log_wave, [lower[pixels][0] - beyond, upper[pixels][-1] + beyond])
        samples = slice(max(int(ends[0]) - 4, 0), int(ends[1]) + 4)
        parts.append(
            Stretch(
                samples,
                pixels,
                log_wave[samples],
                np.log(scene.wavelength[pixels]),
                lower[pixels],
                upper[pixels],
                float(spread.mean()),
                scene.step,
            )
        )
    return parts


class StarByStar:
    """An operator from a function of one detector, the flux over its stretch and a shift in ln λ."""

    def __init__(self, scene: Scene, part_of_star: Callable[[int, Array, float], Array]) -> None:
        self.parts = stretches(scene)
        self.pixels = len(scene.wavelength)
        self.part_of_star = part_of_star

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor) -> Tensor:
        """Native pixels; without gradients, and the widths are as they are."""
        values = flux.detach().cpu().double().numpy()
        shifts = [math.atanh(float(v) / C_KMS) for v in rv.detach()]
        seen = np.empty((len(values), self.pixels))
        for star, shift in enumerate(shifts):
            for number, part in enumerate(self.parts):
                own = np.ascontiguousarray(values[star, part.samples])
                seen[star, part.pixels] = self.part_of_star(number, own, shift)
        return torch.from_numpy(seen)


def specutils_linear(scene: Scene, device: torch.device) -> StarByStar:
    """`gaussian_smooth` and `LinearInterpolatedResampler`."""
    from specutils.manipulation import LinearInterpolatedResampler

    return _specutils(scene, LinearInterpolatedResampler())


def specutils_conserving(scene: Scene, device: torch.device) -> StarByStar:
    """`gaussian_smooth` and `FluxConservingResampler`."""
    from specutils.manipulation import FluxConservingResampler

    return _specutils(scene, FluxConservingResampler())


def _specutils(scene: Scene, resampler: Callable[..., Any]) -> StarByStar:
    from astropy import units
    from specutils import Spectrum
    from specutils.manipulation import gaussian_smooth

    parts = stretches(scene)

    def see(number: int, flux: Array, shift: float) -> Array:
        part = parts[number]
        moved = Spectrum(
            flux=flux * units.dimensionless_unscaled,
            spectral_axis=np.exp(part.log_wave + shift) * units.AA,
        )
        smooth = gaussian_smooth(moved, part.sigma / part.step)
        return np.asarray(resampler(smooth, np.exp(part.centre) * units.AA).flux.value)

    return StarByStar(scene, see)


def spectres_gaussian(scene: Scene, device: torch.device) -> StarByStar:
    """`scipy.ndimage.gaussian_filter1d` and `spectres`."""
    from spectres import spectres

    parts = stretches(scene)

    def see(number: int, flux: Array, shift: float) -> Array:
        part = parts[number]
        smooth = gaussian_filter1d(flux, part.sigma / part.step, truncate=KERNEL)
        resampled: Array = spectres(
            np.exp(part.centre), np.exp(part.log_wave + shift), smooth, fill=np.nan, verbose=False
        )
        return resampled

    return StarByStar(scene, see)


def pyastronomy(scene: Scene, device: torch.device) -> StarByStar:
    """`pyasl.broadGaussFast` on the axis of ln λ, which is equidistant, and linear interpolation."""
    from PyAstronomy import pyasl

    parts = stretches(scene)

    def see(number: int, flux: Array, shift: float) -> Array:
        part = parts[number]
        smooth = pyasl.broadGaussFast(part.log_wave, flux, part.sigma, maxsig=KERNEL)
        return np.interp(part.centre - shift, part.log_wave, smooth)

    return StarByStar(scene, see)
