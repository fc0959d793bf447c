"""Pixels and line spread of the surveys that the operator is measured on, and the rest grids below them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.wavelengths import pixel_edges

Array = NDArray[np.floating[Any]]

VELOCITY = 150.0
"""km/s. Stars move at up to this speed, either way."""

SIGMAS = 10.0
"""Widths of line spread that the rest grid reaches beyond the fastest star's pixels."""

EDGE = 16
"""Pixels at each end of a detector that no method's error counts: some pad there with zeros."""


@dataclass(frozen=True)
class Scene:
    """A survey and the rest grid that its spectra are computed from.

    Args:
        name: Of the survey.
        wavelength: Vacuum Å of the pixels, shape (P,), in order of the detectors.
        segment: Detector of each pixel, shape (P,).
        sigma: Gaussian σ of the line spread in Å, shape (P,).
        rest: Vacuum Å, uniform in ln λ, shape (L,).
    """

    name: str
    wavelength: Array
    segment: NDArray[np.int64]
    sigma: Array
    rest: Array

    @property
    def step(self) -> float:
        """Spacing of the rest grid in ln λ."""
        return float(np.log(self.rest[-1] / self.rest[0]) / (len(self.rest) - 1))

    @property
    def edges(self) -> tuple[Array, Array]:
        """ln λ of the lower and the upper edge of every pixel, shape (P,) each."""
        lower, upper = pixel_edges(self.wavelength.astype(np.float64), self.segment)
        return np.log(lower), np.log(upper)

    @property
    def inner(self) -> NDArray[np.bool_]:
        """Pixels whose error counts, shape (P,)."""
        return np.concatenate([_inner(int((self.segment == n).sum())) for n in np.unique(self.segment)])


def _inner(pixels: int) -> NDArray[np.bool_]:
    place = np.arange(pixels)
    return (place >= EDGE) & (place < pixels - EDGE)


def _apogee() -> tuple[list[Array], float]:
    return [10 ** (4.179 + 6e-6 * np.arange(8575))], 22500.0


def _galah() -> tuple[list[Array], float]:
    ends = ((4713.0, 4903.0), (5648.0, 5873.0), (6478.0, 6737.0), (7585.0, 7887.0))
    return [np.linspace(low, high, 4096) for low, high in ends], 28000.0


def _lamost() -> tuple[list[Array], float]:
    return [3690.0 * 10 ** (1e-4 * np.arange(3909))], 1800.0


def _tiny() -> tuple[list[Array], float]:
    return [5000.0 + 0.08 * np.arange(120), 5015.0 + 0.08 * np.arange(100)], 20000.0


SURVEYS: dict[str, Callable[[], tuple[list[Array], float]]] = {
    "apogee": _apogee,
    "galah": _galah,
    "lamost": _lamost,
    "tiny": _tiny,
}
"""Pixels of each detector in Å, and the resolving power."""


def make_scene(name: str, samples: int, *, variation: float = 0.15, pixels: int | None = None) -> Scene:
    """A survey over one rest grid that covers all of its detectors.

    Args:
        name: One of `SURVEYS`.
        samples: Length of the rest grid.
        variation: σ/λ runs from 1 − variation to 1 + variation times its nominal value along each detector.
        pixels: Keep that many pixels of each detector; all by default.
    """
    detectors, resolving_power = SURVEYS[name]()
    detectors = [part[:pixels] for part in detectors]
    tilt = [1.0 + variation * np.linspace(-1.0, 1.0, len(part)) for part in detectors]
    wavelength = np.concatenate(detectors)
    sigma = np.concatenate(tilt) * wavelength / (resolving_power * FWHM_PER_SIGMA)
    segment = np.repeat(np.arange(len(detectors)), [len(part) for part in detectors])
    beyond = 1.2 * VELOCITY / C_KMS + SIGMAS * float((sigma / wavelength).max())
    ends = np.log(wavelength[0]) - beyond, np.log(wavelength[-1]) + beyond
    return Scene(name, wavelength, segment, sigma, np.exp(np.linspace(*ends, samples)))
