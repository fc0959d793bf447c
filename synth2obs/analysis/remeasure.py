"""A trained bridge against spectra that it has not seen: the gap measured anew, and the report's numbers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.baselines import bare, with_survey
from synth2obs.analysis.evaluate import Arrays, Trial, arrays_of, metrics_of, trial
from synth2obs.analysis.recovery import literature
from synth2obs.analysis.survey_gap import gap_lines, survey_gap, typical_labels
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.refine import refine_gap
from synth2obs.models.fit.task import encode, fit_labels

FEWEST = 8
"""Stars below which a gap cannot be told from the stars' own peculiarities."""


@dataclass(frozen=True)
class GapMeasurement:
    """The gap at the median star of a sample. L wavelengths.

    Args:
        wavelength: Vacuum Å, rest frame, shape (L,).
        gap, error: What the survey sees minus theory, in units of the continuum, and its posterior σ.
        lines: The strongest: wavelength, depth, depth_error, equivalent_width_mA, significance, element,
            probability, runner_up.
        rms, rms_error: Over wavelengths.
        stars: Spectra used.
    """

    wavelength: NDArray[np.float64]
    gap: NDArray[np.float64]
    error: NDArray[np.float64]
    lines: list[dict[str, Any]]
    rms: float
    rms_error: float
    stars: int


@torch.no_grad()
def remeasure(bridge: Bridge, spectra: Spectra, survey: str, lines: int = 30) -> GapMeasurement:
    """Posterior of the gap from the given spectra, at the labels that the bridge's own gap gives them.

    Raises:
        DataError: If there are fewer than 8 spectra.
    """
    if len(spectra) < FEWEST:
        raise DataError(f"{len(spectra)} spectra are too few for a gap", remedy=f"give at least {FEWEST}")
    seen = prepare(bridge, survey, spectra)
    fit = fit_labels(bridge, seen, Options(refresh=2))
    model = bare(bridge.survey(survey), alignment="")
    model.morph.load_state_dict(bridge.survey(survey).morph.state_dict())
    model.gap.load_state_dict(bridge.survey(survey).gap.state_dict())
    fresh = with_survey(bridge, survey, model)
    refine_gap(fresh, seen, fit.theta, fit.rv)
    labels = typical_labels(fresh, fit)
    arrays, found = survey_gap(fresh, survey, labels), gap_lines(fresh, survey, labels, lines)
    return GapMeasurement(
        bridge.decoder.rest_wavelength.numpy(),
        arrays["gap_mean"],
        arrays["gap_error"],
        found["lines"],
        found["rms"],
        found["rms_error"],
        len(spectra),
    )


@torch.no_grad()
def survey_metrics(bridge: Bridge, spectra: Spectra, survey: str) -> tuple[dict[str, Any], Arrays]:
    """Metrics and arrays of a report on any spectra of a survey: theory and morph, no baselines."""
    seen, known = prepare(bridge, survey, spectra), literature(bridge, spectra)
    trials: dict[str, Trial] = {
        method: trial(bridge, seen, known, method, None) for method in ("theory", "morph")
    }
    metrics = metrics_of(bridge, survey, seen, known, trials, lines=15, trained=None)
    latent = encode(bridge, seen)
    return metrics, arrays_of(bridge, survey, spectra, seen, known, trials, latent, examples=4)
