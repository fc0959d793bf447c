"""Stars of a world as a telescope gives them: continuum, noise, and velocities that nobody is told."""

from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import Array
from benchmarks.worlds import SURVEY, World, random_labels
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra


@dataclass(frozen=True)
class Observed:
    """Simulated stars: what a telescope gives, and what it was made of.

    Args:
        spectra: As the library takes them; flux and ivar are ``flux`` and ``ivar``, shape (N, P), float32.
        labels: In their units, shape (N, 31).
        rv: km/s, shape (N,).
    """

    spectra: Spectra
    flux: Array
    ivar: Array
    labels: Array
    rv: Array


def prepare(
    world: World, count: int, *, snr: float = 100.0, velocity: float = 10.0, seed: int = 1
) -> Observed:
    """Exact pixels of random stars, times a smooth continuum, with noise.

    Args:
        world: Its bridge is the truth.
        count: Stars.
        snr: Per pixel.
        velocity: Largest velocity in km/s, which whoever fits does not know.
        seed: Of labels, velocities, continua and noise.
    """
    random = np.random.default_rng(seed)
    labels, rv = random_labels(count, random, 0.8), random.uniform(-velocity, velocity, count)
    wavelength = world.scene.wavelength
    t = 2.0 * (wavelength - wavelength[0]) / (wavelength[-1] - wavelength[0]) - 1.0
    tilt = random.normal(0.0, 0.05, (2, count, 1))
    clean = world.pixels(labels, rv) * (1.0 + tilt[0] * t + tilt[1] * t**2)
    noise = np.sqrt(clean.clip(min=0.01)) / snr
    flux = (clean + noise * random.normal(size=clean.shape)).astype(np.float32)
    ivar = (1.0 / noise**2).astype(np.float32)
    unknown = np.full(count, np.nan)
    spectra = Spectra(
        domain=SURVEY,
        kind="survey",
        frame="barycentric",
        wavelength=wavelength,
        segment=world.scene.segment,
        flux=flux,
        ivar=ivar,
        id=np.array([f"star-{n}" for n in range(count)]),
        line_spread=LineSpread.gaussian(world.scene.sigma, stars=count),
        rv=unknown,
        rv_error=unknown,
        snr=np.full(count, snr),
    )
    return Observed(spectra, flux, ivar, labels, rv)
