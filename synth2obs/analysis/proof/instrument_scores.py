"""Scores of a trained survey's instrument: whether what is wrong with it is found as what it is."""

import numpy as np
import torch

from synth2obs.analysis.bootstrap import Score
from synth2obs.analysis.proof.truth import Truth
from synth2obs.models.survey import SurveyModel


@torch.no_grad()
def instrument_scores(model: SurveyModel, truth: Truth) -> dict[str, Score]:
    """Width of lines and noise over the true ones, and the size and the error of the wavelength distortion.

    Args:
        model: The survey, trained.
        truth: About its instrument.

    Returns:
        ``width_ratio`` and ``noise_ratio``; ``distortion_true`` and ``distortion_found``, rms over pixels in km/s;
        ``distortion_error``, rms of their difference, with the rms of what the model says its error is.
    """
    width, width_error = float(model.width_scale), float(model.width_scale_error)
    noise, noise_error = model.noise.factor
    true = centred(np.interp(model.wavelength.numpy(), truth.pixel_wavelength, truth.distortion))
    found = centred(model.distortion.velocity(model.wavelength, model.segment).numpy())
    expected = _rms(model.distortion.error(model.wavelength, model.segment).numpy())
    return {
        "width_ratio": Score(width / truth.line_spread, width_error / truth.line_spread),
        "noise_ratio": Score(noise / truth.noise, noise_error / truth.noise),
        "distortion_true": Score(_rms(true)),
        "distortion_found": Score(_rms(found), expected),
        "distortion_error": Score(_rms(found - true), expected),
    }


def centred(velocity: np.ndarray) -> np.ndarray:
    """Without its mean: a constant is the stars' own velocity."""
    return np.asarray(velocity - velocity.mean())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
