"""Lines that are the Earth's or the interstellar medium's get no element, unless stars insist."""

import numpy as np
import pytest

from synth2obs.analysis.attribution import NONE, attribute_lines, followed_by_stars
from synth2obs.analysis.bands import (
    HYDROGEN,
    INTERSTELLAR,
    STRONG,
    TELLURIC,
    band_of,
    is_foreign,
    is_telluric,
)
from synth2obs.analysis.lines import strongest_lines

SHARES = {"Na": 0.2, "Fe": 0.8}
EVEN = {"Na": 0.0, "Fe": 0.0, NONE: 0.0}


def attributed(place, gradient=0.0):
    """A line that theory lacks, or one that follows the gradient of Na."""
    wavelength = np.arange(place - 10.0, place + 10.0, 0.05)
    profile = np.exp(-0.5 * ((wavelength - place) / 0.3) ** 2)
    gap = -0.05 * profile + np.random.default_rng(0).normal(0.0, 1e-3, wavelength.size)
    lines = strongest_lines(gap, np.full(gap.size, 1e-3), wavelength, count=1)
    gradients = {"Na": -gradient * profile, "Fe": 0.0 * profile}
    return attribute_lines(lines, gap, np.full(gap.size, 1e-3), wavelength, gradients)


@pytest.mark.parametrize(
    "wavelength, band",
    [
        (6890.0, "telluric O₂ B"),
        (6290.0, "telluric O₂ γ"),
        (7250.0, "telluric H₂O"),
        (7620.0, "telluric O₂ A"),
        (5891.58, "interstellar Na D"),
        (5897.56, "interstellar Na D"),
        (3934.77, "interstellar Ca II K"),
        (6564.6, "core of Hα"),
        (5891.0, "interstellar Na D"),
        (5890.0, "core of Na D₂"),
        (4300.0, "CH G band"),
        (5500.0, ""),
    ],
)
def test_names_of_bands(wavelength, band):
    assert band_of(wavelength) == band


def test_the_earth_is_not_the_interstellar_medium():
    assert all(is_telluric(name) for _, _, name in TELLURIC)
    assert not any(is_telluric(name) for _, _, name in (*INTERSTELLAR, *HYDROGEN, *STRONG))


def test_hydrogen_is_the_stars():
    assert all(is_foreign(name) for _, _, name in (*TELLURIC, *INTERSTELLAR))
    assert not any(is_foreign(name) for _, _, name in (*HYDROGEN, *STRONG)) and not is_foreign("")


@pytest.mark.parametrize("place", [6890.0, 5891.6])
def test_a_line_there_is_named_after_its_band(place):
    (line,) = followed_by_stars(attributed(place), [EVEN], [SHARES])
    assert line.element == line.note == band_of(place)
    assert line.probability == line.unexplained > 0.85
    assert line.runner_up == "Fe" and np.isnan(line.change)


def test_elsewhere_the_same_line_gets_an_element():
    (line,) = followed_by_stars(attributed(5950.0), [EVEN], [SHARES])
    assert line.element == "Fe" and line.note == ""


def test_stars_that_insist_are_heard():
    (line,) = followed_by_stars(attributed(6890.0), [{**EVEN, "Fe": 12.0}], [SHARES])
    assert line.element == "Fe" and line.probability > 0.95 and line.note == "telluric O₂ B"


def test_a_line_that_theory_has_too_weak_stays_its_elements():
    (line,) = attributed(5891.6, gradient=0.2)
    assert line.element == "Na" and line.probability > 0.9 and line.note == "interstellar Na D"
