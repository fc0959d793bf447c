"""The arrays behind one survey's figures; see ``docs/report.md``."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.latent_arrays import latent_arrays
from synth2obs.analysis.latent_lines import latent_lines
from synth2obs.analysis.recovery import Literature, fitted_labels, label_errors
from synth2obs.analysis.star_flags import star_flags
from synth2obs.analysis.star_spectra import free_fits, outside_labels, star_spectra
from synth2obs.analysis.survey_gap import Arrays, survey_gap, typical_labels
from synth2obs.analysis.trials import Tested
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import Fit, LatentFit

CLIPPED = 0.3
"""Anchored residuals beyond this (in units of the continuum) are masked in the rms by wavelength: cosmic rays."""

SHORT = {
    "theory": "theory",
    "constant_residual": "constant",
    "linear_residual": "linear",
    "morph": "morph",
}
"""Methods that have an rms by wavelength, and what it is called."""


def arrays_of(tested: Tested, latent: LatentFit, *, examples: int, stars: int) -> Arrays:
    """All arrays of a survey.

    Args:
        tested: Every method on the test stars.
        latent: Their encoding.
        examples: Stars shown one by one.
        stars: Most stars whose spectra are kept.
    """
    bridge, survey, morph = tested.bridge, tested.survey, tested.trials["morph"].free
    anchors, _ = tested.held("morph")
    return {
        "wavelength": bridge.decoder_of(survey).rest_wavelength.numpy(),
        **dict(_residuals(tested, anchors)),
        **_examples(tested, anchors, examples),
        **survey_gap(bridge, survey, typical_labels(bridge, morph)),
        **_latents(bridge, latent),
        **latent_arrays(latent_lines(bridge, survey=survey)),
        **_stars(tested),
        **star_spectra(tested, stars),
        "scatter": bridge.survey(survey).gap.scatter.sqrt().numpy(),
    }


def _residuals(tested: Tested, anchors: Observation) -> Iterator[tuple[str, NDArray[Any]]]:
    """Anchored rms, and χ² of theory and morph, by wavelength over stars."""
    for method, key in ((m, k) for m, k in SHORT.items() if m in tested.trials):
        residual, ivar = to_rest(
            anchors, tested.trials[method].held, tested.bridge.decoder_of(tested.survey).rest_wavelength
        )
        good = (ivar > 0) & (residual.abs() < CLIPPED)
        yield f"rms_{key}", _over_stars(residual.square(), good).sqrt().numpy()
        if key in ("theory", "morph"):
            yield f"chi2_{key}", _over_stars(residual.square() * ivar, good).numpy()


def _stars(tested: Tested) -> Arrays:
    """What is known and found of every test star."""
    bridge, known, trials = tested.bridge, tested.known, tested.trials
    morph, theory = trials["morph"].free, trials["theory"].free
    return {
        "test_id": tested.spectra.id,
        "test_rv": morph.rv.numpy(),
        "snr": np.asarray(tested.spectra.snr, float),
        "labels_true": np.where(known.usable[:, None], known.table, np.nan),
        "labels_true_error": known.errors,
        "test_flags": star_flags(bridge, tested.survey, morph),
        "test_outside": outside_labels(tested),
        **free_fits(tested),
        "labels_theory": fitted_labels(bridge, theory),
        "labels_morph": fitted_labels(bridge, morph),
        "labels_morph_error": label_errors(bridge, morph),
        **_weighted(tested),
        "chi2_theory_star": _spread(trials["theory"].held.chi2_per_pixel, known),
        "chi2_morph_star": _spread(trials["morph"].held.chi2_per_pixel, known),
    }


def _weighted(tested: Tested) -> Arrays:
    """Labels by theory with weighted pixels, where that was tried."""
    if "theory_weighted" not in tested.trials:
        return {}
    free = tested.trials["theory_weighted"].free
    return {
        "labels_weighted": fitted_labels(tested.bridge, free),
        "labels_weighted_error": label_errors(tested.bridge, free),
    }


def _examples(tested: Tested, anchors: Observation, count: int) -> Arrays:
    """Stars at even steps of Teff: what was observed, theory and morph at the literature's labels."""
    known, grid = tested.known, tested.bridge.decoder_of(tested.survey).rest_wavelength
    table = known.table[known.usable]
    if not len(table):
        return {}
    rows = _even_steps(table[:, 0], count)
    chosen = anchors.take(rows)
    held = {key: _rows(tested.trials[key].held, rows) for key in ("theory", "morph")}
    observed, ivar = to_rest(chosen, held["morph"], grid, held["morph"].spectrum + held["morph"].residual)
    bad = ivar == 0
    arrays = {
        "example_id": tested.spectra.id[known.usable][rows.numpy()],
        "example_labels": table[rows.numpy()],
        "example_observed": observed.masked_fill(bad, torch.nan).numpy(),
        "example_sigma": ivar.clamp(min=1e-12).rsqrt().masked_fill(bad, torch.nan).numpy(),
    }
    for key, fit in held.items():
        left, _ = to_rest(chosen, fit, grid)
        arrays[f"example_{key}"] = (observed - left).masked_fill(bad, torch.nan).numpy()
    return arrays


def _even_steps(values: NDArray[np.float64], count: int) -> Tensor:
    """Rows of about ``count`` values at even steps of their ranks, without the extremes."""
    places = np.linspace(0, len(values) - 1, min(count, len(values)) + 2)[1:-1].round().astype(int)
    return torch.from_numpy(np.argsort(values)[places])


def _latents(bridge: Bridge, fit: LatentFit) -> Arrays:
    """Test stars in the plane of the first two latents: those of the SVD's strongest components."""
    grid = bridge.emulator(bridge.emulator.known)
    return {
        "latent": fit.u.numpy(),
        "latent_2d": fit.u[:, :2].numpy(),
        "latent_grid_2d": grid[:, :2].numpy(),
    }


def _rows(fit: Fit, rows: Tensor) -> Fit:
    return Fit(**{key: value[rows] for key, value in vars(fit).items()})


def _over_stars(values: Tensor, good: Tensor) -> Tensor:
    count = good.sum(0)
    mean = (values * good).sum(0) / count.clamp(min=1)
    return mean.masked_fill(count < 3, torch.nan)


def _spread(values: Tensor, known: Literature) -> NDArray[np.float64]:
    """Values of usable stars among all test stars, NaN elsewhere."""
    spread = np.full(len(known.usable), np.nan)
    spread[known.usable] = values.numpy()
    return spread
