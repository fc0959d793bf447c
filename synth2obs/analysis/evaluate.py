"""Stage F: everything that a survey's report says, from held-out stars and with no training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.baselines import METHODS, MORPH, THEORY, baselines
from synth2obs.analysis.recovery import (
    Literature,
    anchored,
    fitted_labels,
    label_errors,
    literature,
    recovery,
)
from synth2obs.analysis.survey_gap import gap_lines, survey_gap, typical_labels
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.spectra import Spectra
from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import rms
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import Fit, StarLabels
from synth2obs.models.fit.task import encode, fit_labels

Arrays = dict[str, NDArray[Any]]
Report = Callable[[str], None]

CLIPPED = 0.3
"""Anchored residuals beyond this (in units of the continuum) are masked in the rms by wavelength: cosmic rays."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One survey's stars for an evaluation.

    Args:
        train, stars: Training stars with their labels and velocities: baselines learn from them, as the bridge did.
        test: Spectra of held-out stars.
        examples: Stars shown one by one.
        lines: Most lines listed.
    """

    name: str
    train: Observation
    stars: StarLabels
    test: Spectra
    examples: int = 4
    lines: int = 15


@dataclass(frozen=True)
class Trial:
    """A method on test stars: labels free, and labels held."""

    free: Fit
    held: Fit


@torch.no_grad()
def evaluate(
    bridge: Bridge, sample: Sample, report: Report = lambda text: None
) -> tuple[dict[str, Any], Arrays]:
    """Metrics and arrays of one survey; see ``docs/report.md`` for both.

    Args:
        bridge: Trained.
        sample: Its stars.
        report: Told what is being done.
    """
    name = sample.name
    seen = prepare(bridge, name, sample.test)
    known = literature(bridge, sample.test)
    report(f"{name}: baselines")
    bridges = {THEORY: bridge, **baselines(bridge, sample.train, sample.stars), MORPH: bridge}
    trials: dict[str, Trial] = {}
    for method, trial_bridge in bridges.items():
        report(f"{name}: {method.replace('_', ' ')}")
        start = None if trial_bridge is bridge else trials[THEORY].free
        trials[method] = trial(trial_bridge, seen, known, method, start)
    latent = encode(bridge, seen)
    trained = len(sample.train)
    metrics = metrics_of(bridge, name, seen, known, trials, lines=sample.lines, trained=trained)
    arrays = arrays_of(bridge, name, sample.test, seen, known, trials, latent, examples=sample.examples)
    return metrics, arrays


def trial(bridge: Bridge, seen: Observation, known: Literature, method: str, start: Fit | None) -> Trial:
    """Plain theory is fitted with the noise alone; everything else with what it learned about its residuals."""
    options = Options(
        morphed=METHODS[method].morphed,
        scatter=METHODS[method].weighted,
        refresh=2 if start is None else 1,
        steps=7,
    )
    if start is None:
        free = fit_labels(bridge, seen, options)
    else:
        free = fit_labels(bridge, seen, options, start.theta, start.rv)
    return Trial(free, anchored(bridge, seen, known, free.rv, morphed=options.morphed))


def metrics_of(
    bridge: Bridge,
    survey: str,
    seen: Observation,
    known: Literature,
    trials: Mapping[str, Trial],
    *,
    lines: int,
    trained: int | None,
) -> dict[str, Any]:
    """One survey's part of ``metrics.json``, but for the comparison of telescopes."""
    model = bridge.survey(survey)
    free = trials["morph"].free
    latents = bridge.emulator(free.theta)
    change = minimal_change(model.morph, latents)
    every_200 = slice(None, None, max(1, len(model.wavelength) // 12))
    width = FWHM_PER_SIGMA * model.lsf_sigma[every_200] * model.width_scale
    return {
        "n_test": len(seen),
        "n_train": trained,
        "n_anchored": int(known.usable.sum()),
        "anchored_rms": {key: _median(rms(trial.held)) for key, trial in trials.items()},
        "anchored_chi2": {key: _median(trial.held.chi2_per_pixel) for key, trial in trials.items()},
        "free_rms": {key: _median(rms(trial.free)) for key, trial in trials.items()},
        "label_recovery": {
            key: recovery(fitted_labels(bridge, trial.free), known) for key, trial in trials.items()
        },
        "gap": gap_lines(bridge, survey, typical_labels(bridge, free), lines),
        "lsf": {
            "width_scale": float(model.width_scale),
            "width_scale_error": _finite(float(model.width_scale_error)),
            "fwhm_angstrom": width.tolist(),
            "wavelength": model.wavelength[every_200].tolist(),
        },
        "noise": {
            "scatter_median": float(model.gap.scatter.sqrt().median()),
            "chi2_per_pixel": _median(free.chi2_per_pixel),
            "correlation_pixels": float(model.correlation),
        },
        "morph": {
            "latent_shift_rms": float((change["displacement"] / latents.shape[1]).sqrt()),
            "jacobian_rms": float((change["jacobian"] / latents.shape[1]).sqrt()),
        },
    }


def arrays_of(
    bridge: Bridge,
    survey: str,
    spectra: Spectra,
    seen: Observation,
    known: Literature,
    trials: Mapping[str, Trial],
    latent: Fit,
    *,
    examples: int,
) -> Arrays:
    """The arrays behind one survey's figures, as ``docs/report.md`` lists them."""
    grid = bridge.decoder.rest_wavelength
    anchors = seen.take(torch.from_numpy(np.nonzero(known.usable)[0]))
    short = {
        "theory": "theory",
        "constant_residual": "constant",
        "linear_residual": "linear",
        "morph": "morph",
    }
    arrays: Arrays = {"wavelength": grid.numpy()}
    for method, key in ((m, k) for m, k in short.items() if m in trials):
        residual, ivar = to_rest(anchors, trials[method].held, grid)
        good = (ivar > 0) & (residual.abs() < CLIPPED)
        arrays[f"rms_{key}"] = _over_stars(residual.square(), good).sqrt().numpy()
        if key in ("theory", "morph"):
            arrays[f"chi2_{key}"] = _over_stars(residual.square() * ivar, good).numpy()
    arrays |= _examples(bridge, spectra, anchors, known, trials, examples)
    arrays |= survey_gap(bridge, survey, typical_labels(bridge, trials["morph"].free))
    arrays |= _latents(bridge, latent)
    morph, theory = trials["morph"].free, trials["theory"].free
    return arrays | {
        "test_id": spectra.id,
        "test_rv": morph.rv.numpy(),
        "snr": np.asarray(spectra.snr, float),
        "labels_true": np.where(known.usable[:, None], known.table, np.nan),
        "labels_theory": fitted_labels(bridge, theory),
        "labels_morph": fitted_labels(bridge, morph),
        "labels_morph_error": label_errors(bridge, morph),
        "scatter": bridge.survey(survey).gap.scatter.sqrt().numpy(),
        "chi2_theory_star": _spread(trials["theory"].held.chi2_per_pixel, known),
        "chi2_morph_star": _spread(trials["morph"].held.chi2_per_pixel, known),
    }


def _examples(
    bridge: Bridge,
    spectra: Spectra,
    anchors: Observation,
    known: Literature,
    trials: Mapping[str, Trial],
    count: int,
) -> Arrays:
    """Stars at even steps of Teff: what was observed, theory and morph at the literature's labels."""
    grid = bridge.decoder.rest_wavelength
    table = known.table[known.usable]
    if not len(table):
        return {}
    places = np.linspace(0, len(table) - 1, min(count, len(table)) + 2)[1:-1].round().astype(int)
    rows = torch.from_numpy(np.argsort(table[:, 0])[places])
    chosen = anchors.take(rows)
    held = {key: _rows(trials[key].held, rows) for key in ("theory", "morph")}
    observed, ivar = to_rest(chosen, held["morph"], grid, held["morph"].spectrum + held["morph"].residual)
    bad = ivar == 0
    arrays = {
        "example_id": spectra.id[known.usable][rows.numpy()],
        "example_labels": table[rows.numpy()],
        "example_observed": observed.masked_fill(bad, torch.nan).numpy(),
        "example_sigma": ivar.clamp(min=1e-12).rsqrt().masked_fill(bad, torch.nan).numpy(),
    }
    for key, fit in held.items():
        left, _ = to_rest(chosen, fit, grid)
        arrays[f"example_{key}"] = (observed - left).masked_fill(bad, torch.nan).numpy()
    return arrays


def _latents(bridge: Bridge, fit: Fit) -> Arrays:
    """Test stars in the plane of the first two latents: those of the SVD's strongest components."""
    grid = bridge.emulator(bridge.emulator.known)
    return {
        "latent": fit.theta.numpy(),
        "latent_2d": fit.theta[:, :2].numpy(),
        "latent_grid_2d": grid[:, :2].numpy(),
    }


def _rows(fit: Fit, rows: Tensor) -> Fit:
    return Fit(**{key: value[rows] for key, value in vars(fit).items()})


def _median(values: Tensor) -> float:
    return float(values.median()) if len(values) else float("nan")


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _over_stars(values: Tensor, good: Tensor) -> Tensor:
    count = good.sum(0)
    mean = (values * good).sum(0) / count.clamp(min=1)
    return mean.masked_fill(count < 3, torch.nan)


def _spread(values: Tensor, known: Literature) -> NDArray[np.float64]:
    """Values of usable stars among all test stars, NaN elsewhere."""
    spread = np.full(len(known.usable), np.nan)
    spread[known.usable] = values.numpy()
    return spread
