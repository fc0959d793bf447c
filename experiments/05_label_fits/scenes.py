"""Stars whose noise is known: photon noise, and theory's error with a covariance of its own, of given labels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.core.labels import STELLAR
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import learn_weights
from synth2obs.models.fit.task import fit_labels

NARROW_WIDTH = 1.2
"""σ in pixels of the Gaussian that makes narrow errors of theory."""


@dataclass(frozen=True)
class Truth:
    """How theory errs: shares of the scatter's variance that are wide and narrow, and e-folding length in pixels."""

    wide: float = 0.4
    narrow: float = 0.6
    length: float = 15.0

    def draw(self, shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float64]:
        """Errors of unit variance, (N, P)."""
        rho = np.exp(-1.0 / self.length)
        smooth = random.normal(size=shape)
        for pixel in range(1, shape[1]):
            smooth[:, pixel] = rho * smooth[:, pixel - 1] + np.sqrt(1 - rho**2) * smooth[:, pixel]
        reach = np.arange(-6, 7)
        kernel = np.exp(-0.5 * (reach / NARROW_WIDTH) ** 2)
        kernel /= np.sqrt((kernel**2).sum())
        rough = np.stack([np.convolve(row, kernel, "same") for row in random.normal(size=shape)])
        return self.wide**0.5 * smooth + self.narrow**0.5 * rough

    def correlation(self, pixels: int) -> Tensor:
        """Of those errors, (P, P)."""
        lag = torch.arange(pixels, dtype=torch.float64)
        lag = (lag[:, None] - lag).abs()
        return self.wide * torch.exp(-lag / self.length) + self.narrow * torch.exp(
            -(lag**2) / (4 * NARROW_WIDTH**2)
        )


def survey_like(bridge: Bridge, count: int, seed: int, share: float = 0.9) -> NDArray[np.float64]:
    """Labels as the fit's priors expect them, Teff, log g and [Fe/H] within the inner share of the grid, (N, K)."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    stellar = torch.from_numpy(_stellar(bridge, columns, count, seed, share))
    table = bridge.label_prior().draw(stellar, torch.Generator().manual_seed(seed)).numpy()
    return np.clip(table, bridge.labels.lower, bridge.labels.upper)


def _stellar(bridge: Bridge, columns: list[int], count: int, seed: int, share: float) -> NDArray[np.float64]:
    assert bridge.population is not None
    low, high = bridge.labels.lower[columns], bridge.labels.upper[columns]
    middle, half = 0.5 * (low + high), 0.5 * share * (high - low)
    drawn = bridge.population.sample(60 * count, torch.Generator().manual_seed(seed)).numpy()
    inside = (np.abs(drawn - middle) < half).all(1)
    return drawn[inside][:count]


def observed(
    bridge: Bridge,
    survey: str,
    labels: NDArray[np.float64],
    snr: NDArray[np.float64],
    truth: Truth | None,
    seed: int,
) -> Spectra:
    """Spectra of the bridge's own theory with an unknown continuum, velocities of ±20 km/s, and that noise.

    Args:
        bridge: Gives theory, instrument and the scatter s(λ).
        survey: Whose instrument and pixels.
        labels: In their units, (N, K).
        snr: Per pixel, (N,).
        truth: How theory errs; None: not at all.
        seed: Of all that is drawn.
    """
    random, model = np.random.default_rng(seed), bridge.survey(survey)
    instrument, count = bridge.instrument(survey), len(labels)
    rv = torch.from_numpy(random.normal(0, 20, count))
    clean = np.nan_to_num(bridge.predict(labels, survey, rv.numpy(), morphed=False), nan=1.0)
    if truth is not None:
        scatter = instrument(model.gap.scatter.sqrt().expand(count, -1), rv, 0.0).numpy()
        clean = clean + scatter * truth.draw(clean.shape, random)
    x = np.linspace(-1, 1, clean.shape[1])
    tilt, bend = 0.3 * random.normal(size=(2, count, 1))
    continuum = np.exp(tilt * x + bend * x**2)
    sigma = continuum / snr[:, None] * np.sqrt(np.clip(clean, 0.05, None))
    covered = instrument.valid(rv, float(model.width_scale)).numpy()
    noisy = clean * continuum + sigma * random.normal(size=clean.shape)
    missing = np.full(count, np.nan)
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=model.wavelength.numpy(),
        segment=model.segment.numpy(),
        flux=noisy.astype(np.float32),
        ivar=(covered / sigma**2).astype(np.float32),
        id=np.array([f"star_{i}" for i in range(count)]),
        line_spread=LineSpread.gaussian(model.lsf_sigma.numpy(), stars=count),
        rv=rv.numpy(),
        rv_error=missing,
        snr=snr,
    )


@torch.no_grad()
def learn(bridge: Bridge, survey: str, spectra: Spectra) -> None:
    """Let a survey learn scatter and noise from spectra of unknown labels, as the stage of a training does."""
    seen = prepare(bridge, survey, spectra)
    for scatter in (False, True, True):
        learn_weights(bridge, seen, fit_labels(bridge, seen, Options(morphed=False, scatter=scatter)))
