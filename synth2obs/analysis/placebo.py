"""Placebo: the grid against itself. Whatever gap is found here is the method's own."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.recovery import fitted_labels
from synth2obs.core.labels import STELLAR
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.robust import middle
from synth2obs.core.spectra import Spectra
from synth2obs.models.alignment.learn import teach
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import Alignment, EncodedStars
from synth2obs.models.fit.lessons import encoded_stars
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import ROUND, learn_weights, refine
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SurveyConfig, make_morph
from synth2obs.physics.continuum import random_continuum

CONTINUUM = 0.3
"""Standard deviation of tilt and bend of ln continuum that spectra are given."""


@torch.no_grad()
def placebo(
    bridge: Bridge,
    survey: str,
    flux: Tensor,
    labels: NDArray[np.float64],
    *,
    snr: float = 250.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the gap and the morph where there is neither.

    Grid spectra that took no part in training are seen through a survey's instrument with noise and an unknown
    continuum, and drawn so that warm and metal-poor stars are several times as frequent as in the grid. Then the gap
    and the morph are learned as from stars, with the survey's own settings.

    Args:
        bridge: Trained.
        survey: Whose instrument and settings are used.
        flux, labels: Held-out grid spectra, (N, L), and their labels, (N, K).
        snr: Signal to noise per pixel.
        seed: Of noise, draws and continua.
    """
    random = torch.Generator().manual_seed(seed)
    rows = _shifted(bridge, labels, random)
    trial = with_survey(bridge, survey, bare(bridge.survey(survey), alignment=""))
    trial.population = None
    seen = prepare(trial, survey, _observed(trial, survey, flux[rows], snr, random))
    fit = _by_theory(trial, seen)
    shift = _morph_shift(trial, fit.x, seen, random)
    fit = refine(trial, seen, fit_labels(trial, seen, ROUND, fit.x, fit.rv))
    final = fit_labels(trial, seen, Options(refresh=1), fit.x, fit.rv)
    columns = [bridge.labels.index(name) for name in STELLAR]
    bias = _bias(fitted_labels(trial, final) - labels[rows][:, columns])
    return {**_gap_size(trial, survey, fit.x), **bias, **shift, "n": len(rows)}


def _by_theory(trial: Bridge, seen: Observation) -> LabelFit:
    """Labels by plain theory; the trial then knows what theory leaves."""
    fit = fit_labels(trial, seen, Options(scatter=False, morphed=False, refresh=1))
    learn_weights(trial, seen, fit)
    return fit


def _gap_size(trial: Bridge, survey: str, x: Tensor) -> dict[str, float]:
    """Gap of the median star, its posterior error, and χ² over cells."""
    model = trial.survey(survey)
    features = trial.gap_features(survey, x).float().median(0, keepdim=True).values
    gap, variance = model.gap(features)[0], model.gap.variance(features)[0]
    return {
        "gap_rms": float(gap.square().mean().sqrt()),
        "gap_rms_error": float(variance.mean().sqrt()),
        "gap_chi2": float((gap.square() / variance.clamp(min=1e-12)).mean()),
    }


def _bias(difference: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Median of fitted minus true labels (N, 3), and its standard error."""
    bias, error = middle(difference)
    columns = {"label_bias": bias, "label_bias_error": error}
    return {key: dict(zip(STELLAR, map(float, values), strict=True)) for key, values in columns.items()}


def _shifted(bridge: Bridge, labels: NDArray[np.float64], random: torch.Generator) -> Tensor:
    """Two thirds of the spectra, drawn without replacement with weights e^{-x} for warm and metal-poor."""
    x = bridge.scale(torch.as_tensor(labels))
    columns = [bridge.labels.index(name) for name in ("teff", "fe_h")]
    weight = torch.exp(-x[:, columns].sum(1))
    count = max(8, 2 * len(labels) // 3)
    return torch.multinomial(weight, min(count, len(labels)), generator=random).sort().values


def _observed(bridge: Bridge, survey: str, flux: Tensor, snr: float, random: torch.Generator) -> Spectra:
    model, instrument = bridge.survey(survey), bridge.instrument(survey)
    count = len(flux)
    rv = 10.0 * torch.randn(count, generator=random, dtype=torch.float64)
    width = float(model.width_scale)
    clean = instrument(flux, rv, width)
    continuum = random_continuum(count, clean.shape[1], CONTINUUM, random)
    sigma = continuum / snr
    noisy = clean * continuum + sigma * torch.randn(clean.shape, generator=random)
    ivar = sigma**-2 * instrument.valid(rv, width)
    missing = np.full(count, np.nan)
    return Spectra(
        domain="placebo",
        kind="survey",
        wavelength=model.wavelength.numpy(),
        segment=model.segment.numpy(),
        flux=noisy.numpy(),
        ivar=ivar.numpy(),
        id=np.array([f"placebo_{i}" for i in range(count)]),
        line_spread=LineSpread.gaussian(model.lsf_sigma.numpy(), stars=count),
        rv=missing,
        rv_error=missing,
        snr=np.full(count, snr),
    )


def _morph_shift(trial: Bridge, x: Tensor, seen: Observation, random: torch.Generator) -> dict[str, float]:
    """Rms shift per latent dimension of a morph learned here, and its error from two halves of the stars."""
    stars, config = encoded_stars(trial, seen, x), trial.survey(seen.survey).config
    half = torch.arange(len(x)) % 2 == 0
    shifts = []
    for rows in (torch.ones_like(half), half, ~half):
        morph = _fresh_morph(config, random)
        teach(morph, EncodedStars(*(part[rows] for part in stars)), config.morph, random)
        shifts.append(morph(stars.source)[0] - stars.source)
    error = 0.5 * (shifts[1] - shifts[2])
    sizes = {"morph_shift": shifts[0], "morph_shift_error": error}
    return {name: float(values.square().mean().sqrt()) for name, values in sizes.items()}


def _fresh_morph(config: SurveyConfig, random: torch.Generator) -> Alignment:
    """An identity whose hidden layers are drawn from ``random``: torch draws them from its global numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=random)))
        return make_morph(config.latent, config.morph)
