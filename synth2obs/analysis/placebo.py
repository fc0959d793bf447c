"""Placebo: the grid against itself. Whatever gap is found here is the method's own."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.recovery import fitted_labels
from synth2obs.analysis.variants import bare, with_survey
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.alignment.conditional import alignment, precision_of
from synth2obs.models.alignment.flow import FlowConfig
from synth2obs.models.alignment.morph import Morph
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import Rounds, refine_gap, update_correlation, update_scatter
from synth2obs.models.fit.task import encode, fit_labels
from synth2obs.models.priors.labels import STELLAR

MEDIAN_ERROR = 1.2533
"""Standard error of a median over that of a mean, for a normal distribution: √(π/2)."""

STEPS, RATE, DISPLACEMENT, JACOBIAN = 120, 2e-3, 0.3, 3.0


@torch.no_grad()
def placebo(
    bridge: Bridge,
    survey: str,
    flux: Tensor,
    labels: NDArray[np.float64],
    rounds: Rounds,
    *,
    snr: float = 250.0,
    iterations: int = 2,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure the gap and the morph where there is neither.

    Grid spectra that took no part in training are seen through a survey's instrument with noise and an unknown
    continuum, and drawn so that warm and metal-poor stars are several times as frequent as in the grid. Then the gap
    and the morph are learned as from stars.

    Args:
        bridge: Trained.
        survey: Whose instrument is used.
        flux, labels: Held-out grid spectra, (N, L), and their labels, (N, K).
        rounds, iterations: How gaps are refined.
        snr: Signal to noise per pixel.
        seed: Of noise, draws and continua.
    """
    random = torch.Generator().manual_seed(seed)
    rows = _shifted(bridge, labels, random)
    trial = with_survey(bridge, survey, bare(bridge.survey(survey), bridge.survey(survey).config.gap_degree))
    trial.population = None
    spectra = _observed(trial, survey, flux[rows], snr, random)
    seen = prepare(trial, survey, spectra)
    model = trial.survey(survey)
    fit = fit_labels(trial, seen, Options(scatter=False, morphed=False, refresh=1))
    update_scatter(model, seen, fit, bridge.decoder.rest_wavelength)
    update_correlation(model, fit)
    shift, shift_error = _morph_shift(trial, survey, fit.theta, seen, random)
    x, rv = fit.theta, fit.rv
    for _ in range(iterations):
        fit, _ = refine_gap(trial, seen, x, rv, rounds)
        x, rv = fit.theta, fit.rv
    features = model.features(model.morph(trial.emulator(x))[0]).float().median(0, keepdim=True).values
    gap, variance = model.gap(features)[0], model.gap.variance(features)[0]
    final = fit_labels(trial, seen, Options(refresh=1), x, rv)
    columns = [bridge.labels.index(name) for name in STELLAR]
    difference = fitted_labels(trial, final) - labels[rows][:, columns]
    bias = np.median(difference, axis=0)
    error = MEDIAN_ERROR * MAD_TO_SIGMA * np.median(np.abs(difference - bias), axis=0) / np.sqrt(len(rows))
    return {
        "gap_rms": float(gap.square().mean().sqrt()),
        "gap_rms_error": float(variance.mean().sqrt()),
        "gap_chi2": float((gap.square() / variance.clamp(min=1e-12)).mean()),
        "label_bias": dict(zip(STELLAR, map(float, bias), strict=True)),
        "label_bias_error": dict(zip(STELLAR, map(float, error), strict=True)),
        "morph_shift": shift,
        "morph_shift_error": shift_error,
        "n": len(rows),
    }


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
    x = torch.linspace(-1, 1, clean.shape[1])
    tilt, bend = 0.3 * torch.randn(2, count, 1, generator=random)
    continuum = torch.exp(tilt * x + bend * x.square())
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


def _morph_shift(
    bridge: Bridge, survey: str, x: Tensor, seen: Any, random: torch.Generator
) -> tuple[float, float]:
    """Rms shift per latent dimension of a morph learned here, and its error from two halves of the stars."""
    source = bridge.emulator(x)
    fit = encode(bridge, seen)
    precision = precision_of(fit.covariance)
    half = torch.arange(len(x)) % 2 == 0
    shifts = []
    for rows in (torch.ones_like(half), half, ~half):
        morph = _fresh_morph(source.shape[1], bridge.survey(survey).morph.config, random)
        _learn(morph, source[rows], fit.theta[rows], precision[rows], random)
        with torch.no_grad():
            shifts.append(morph(source)[0] - source)
    error = 0.5 * (shifts[1] - shifts[2])
    return float(shifts[0].square().mean().sqrt()), float(error.square().mean().sqrt())


def _fresh_morph(latent: int, config: FlowConfig, random: torch.Generator) -> Morph:
    """An identity whose hidden layers are drawn from ``random``: torch draws them from its global numbers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=random)))
        return Morph(latent, config).double()


def _learn(morph: Morph, source: Tensor, u: Tensor, precision: Tensor, random: torch.Generator) -> None:
    optimizer = torch.optim.Adam(morph.parameters(), lr=RATE)
    with torch.enable_grad():
        for _ in range(STEPS):
            probes = torch.randn((1, *source.shape), generator=random, dtype=source.dtype)
            loss = alignment(morph, source, u, precision, probes).total(DISPLACEMENT, JACOBIAN, u.shape[1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
