"""A survey's errors as its repeated stars say that they are."""

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra
from synth2obs.models.noise.repeats import FEWEST, find_repeats, learn_scale, nodes_of
from synth2obs.models.noise.survey_noise import ErrorScale, SurveyNoise


def believe_repeats(
    noise: SurveyNoise,
    spectra: Spectra,
    wavelength: NDArray[np.float64],
    order: int,
    star: NDArray[np.str_] | None = None,
) -> str:
    """Set a survey's error scale to what repeats say; it stays as it is where fewer than `FEWEST` stars repeat.

    Args:
        noise: Changed in place.
        spectra: That may teach.
        wavelength: The survey's usual pixels in Å, shape (P,).
        order: Degree of the continuum's polynomial on every detector.
        star: Name of every spectrum's star, shape (N,); by default what the survey calls it.

    Returns:
        What was found, in words.

    Raises:
        DataError: If the spectra have no ivar.
    """
    repeats = find_repeats(spectra, order, star)
    if repeats.stars < FEWEST:
        return f"{repeats.stars} stars have several spectra, {FEWEST} are needed: errors stay as quoted"
    found = learn_scale(repeats, nodes_of(wavelength))
    noise.believe(found)
    return in_words(found)


def in_words(found: ErrorScale) -> str:
    """One line about an error scale."""
    low, high = int(found.scale.argmin()), int(found.scale.argmax())
    ends = (
        f"{found.scale[at]:.2f} ± {found.scale_error[at]:.2f} at {np.exp(found.log_wave[at]):.0f} Å"
        for at in (low, high)
    )
    return (
        f"by {found.stars} repeated stars errors are {' to '.join(ends)} times the quoted ones, "
        f"beside {100 * found.floor:.2f} ± {100 * found.floor_error:.2f} % of the flux"
    )
