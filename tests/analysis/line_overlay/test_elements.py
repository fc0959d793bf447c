"""Elements of gap lines where a line list says who has lines."""

import numpy as np
import pytest

from synth2obs.analysis.attribution import NONE, followed_by_stars
from synth2obs.analysis.line_overlay.elements import UNLISTED, listed_shares
from synth2obs.analysis.lines import Line

SHARES = {"Ti": 0.2, "N": 0.3, "Fe": 0.5}
SIGMA, TEFF = 0.12, 5500.0


def line(wavelength):
    numbers = dict.fromkeys(("equivalent_width", "equivalent_width_error", "depth_error"), 1.0)
    return Line(
        wavelength=wavelength,
        depth=0.1,
        significance=50.0,
        start=wavelength - 0.2,
        stop=wavelength + 0.2,
        **numbers,
    )


def shares(world, air):
    place = world.listed.transitions[world.number(air)].vacuum.mean()
    (found,) = listed_shares([line(place)], world.listed, SHARES, SIGMA, TEFF)
    return found


@pytest.mark.parametrize("air, element", [(5005.0, "Ti"), (5042.0, "Ti"), (5003.0, "Fe"), (5036.0, "Fe")])
def test_the_element_that_has_a_line_there_is_likely(world, air, element):
    found = shares(world, air)
    assert sum(found.values()) == pytest.approx(1.0)
    assert found[element] == pytest.approx(1.0 - UNLISTED + UNLISTED * SHARES[element], abs=0.02)


def test_in_a_blend_strengths_decide(world):
    found = shares(world, 5020.3)
    assert found["Ti"] > 0.3 and found["Fe"] > 0.1 and found["N"] < 0.15


def test_where_the_list_has_nothing_shares_stay(world):
    (found,) = listed_shares([line(5025.0)], world.listed, SHARES, SIGMA, TEFF)
    assert found == pytest.approx(SHARES)


def test_an_element_whose_molecule_has_lines_there_keeps_its_share(world):
    place = world.listed.molecules["N"][0]
    (found,) = listed_shares([line(place)], world.listed, SHARES, SIGMA, TEFF)
    assert found["N"] >= SHARES["N"] - 0.05 and set(world.listed.molecules) == {"C", "N"}


def test_without_lines_there_are_no_priors(world):
    assert listed_shares([], world.listed, SHARES, SIGMA, TEFF) == []


def test_a_line_that_theory_lacks_goes_to_the_element_of_the_list(world):
    """Stars cannot tell: the list does."""
    extra = 0.05 * np.exp(-0.5 * ((world.theory.wavelength - 5043.4) / SIGMA) ** 2)
    lines = world.gap({}, extra).lines
    even = dict.fromkeys(("Fe", "Ti"), 0.5)
    listed = listed_shares(lines, world.listed, even, SIGMA, TEFF)
    evidence = [dict.fromkeys(("Fe", "Ti", NONE), 0.0)] * len(lines)
    (found,) = followed_by_stars(lines, evidence, listed)
    assert found.element == "Ti" and found.probabilities["Ti"] > 3 * found.probabilities["Fe"]
