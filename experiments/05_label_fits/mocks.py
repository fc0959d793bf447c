"""Stars of known labels as a spectrograph of low resolution sees them: spectra of the emulator, or of a grid."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.noise.survey_noise import SurveyNoise
from synth2obs.physics.instrument import Instrument
from synth2obs.synthesis.sampling.population import Population, PopulationConfig
from synth2obs.training.domains import DataConfig, load_domains

STEP = 1e-4
"""Of the pixels in log10 λ, as LAMOST's."""

EDGE = 3.0
"""σ of the line spread, and Å of velocity, that pixels stay away from the ends of the rest grid."""

RV_SPREAD = 40.0
"""Standard deviation of velocities in km/s; fits are not told them."""


@dataclass(frozen=True)
class Pixels:
    """Where and how sharply spectra are seen: vacuum Å, shape (P,), and one line spread for all."""

    wavelength: NDArray[np.float64]
    spread: LineSpread

    @classmethod
    def of(cls, bridge: Bridge, resolution: float, start: float, stop: float) -> "Pixels":
        """As much of [start, stop] in Å as the bridge has, seen with R = λ / FWHM."""
        rest = bridge.decoder.rest_wavelength
        margin = 1.0 + EDGE / resolution + 3e-4
        low, high = max(start, float(rest[0]) * margin), min(stop, float(rest[-1]) / margin)
        wavelength = 10 ** np.arange(np.log10(low), np.log10(high), STEP)
        return cls(wavelength, LineSpread.single(wavelength / resolution / FWHM_PER_SIGMA))

    def instrument(self, bridge: Bridge, survey: str) -> Instrument:
        """The operator of rest-frame spectra on these pixels."""
        return bridge.instrument(survey, self.wavelength, np.zeros(len(self.wavelength), int), self.spread)


@dataclass(frozen=True)
class Stars:
    """Labels in their units (N, K), and spectra on the rest grid (N, L) where the emulator does not make them."""

    labels: NDArray[np.float64]
    flux: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.intp]) -> "Stars":
        """Some of them, as often as they are named."""
        return Stars(self.labels[rows], None if self.flux is None else self.flux[rows])


def plain(bridge: Bridge, survey: str) -> Bridge:
    """The bridge with a survey that sees theory: no morph, no gap, no scatter, errors as quoted, widths as given."""
    model = bare(bridge.survey(survey))
    model.gap.scatter.zero_()
    model.noise = SurveyNoise()
    model.width_scale.fill_(1.0)
    return with_survey(bridge, survey, model)


def population(bridge: Bridge, count: int, seed: int) -> Stars:
    """Stars that a survey may have, all labels inside the grid."""
    space = bridge.labels
    ends = zip(space.lower.tolist(), space.upper.tolist(), strict=True)
    ranges = dict(zip(space.names, ends, strict=True))
    return Stars(Population(PopulationConfig()).draw(space.names, ranges, count, seed))


def held_out(bridge: Bridge, grid: str, unseen: bool) -> Stars:
    """Spectra of a grid that the bridge was not trained on: those that its training held out, or all of an unseen one.

    Raises:
        SystemExit: If the shard's wavelengths or labels are not the bridge's.
    """
    config = bridge.card["config"]
    data = DataConfig(**{**config["data"], "grid": grid})
    found = load_domains(data, config["seed"]).grid
    rest = bridge.decoder.rest_wavelength.numpy()
    if found.spectra.wavelength.shape != rest.shape or not np.allclose(found.spectra.wavelength, rest):
        raise SystemExit(f"{grid}: wavelengths are not those of the bridge's own grid")
    if found.labels.names != bridge.labels.names:
        raise SystemExit(f"{grid}: labels are not those of the bridge's own grid")
    rows = ~bridge.labels.outside(found.values).any(1) & (unseen | found.held_out)
    return Stars(found.values[rows], torch.from_numpy(found.spectra.flux[rows]).float())


@torch.no_grad()
def observe(
    bridge: Bridge, survey: str, stars: Stars, pixels: Pixels, snr: float, seed: int
) -> tuple[Spectra, NDArray[np.float64]]:
    """Noisy spectra with an unknown continuum and velocity, and their true velocities in km/s.

    Args:
        bridge: Gives theory.
        survey: Whose model `plain` has replaced.
        stars: What is seen.
        pixels: Through what.
        snr: Per pixel in the continuum.
        seed: Of velocities, continua and noise.
    """
    random, count = np.random.default_rng(seed), len(stars)
    instrument = pixels.instrument(bridge, survey)
    rv = torch.from_numpy(random.normal(0.0, RV_SPREAD, count))
    if stars.flux is None:
        x = bridge.scale(torch.from_numpy(stars.labels))
        coefficients = bridge.values_from_labels(survey, x, morphed=False)
        clean = bridge.native.flux(coefficients, survey, rv, instrument)
    else:
        clean = instrument(stars.flux, rv).numpy()
    covered = instrument.valid(rv).numpy()
    clean = np.where(covered, np.nan_to_num(clean), 1.0)
    x = np.linspace(-1, 1, clean.shape[1])
    tilt, bend = 0.3 * random.normal(size=(2, count, 1))
    continuum = np.exp(tilt * x + bend * x**2)
    sigma = continuum / snr * np.sqrt(np.clip(clean, 0.05, None))
    missing = np.full(count, np.nan)
    spectra = Spectra(
        domain=survey,
        kind="survey",
        wavelength=pixels.wavelength,
        segment=np.zeros(len(pixels.wavelength), int),
        flux=(clean * continuum + sigma * random.normal(size=clean.shape)).astype(np.float32),
        ivar=(covered / sigma**2).astype(np.float32),
        id=np.array([f"star_{i}" for i in range(count)]),
        line_spread=LineSpread.gaussian(pixels.spread.sigma[0], stars=count),
        rv=missing,
        rv_error=missing,
        snr=np.full(count, snr),
        frame="barycentric",
    )
    return spectra, rv.numpy()
