"""From labels to atoms, and the shares of isotopes."""

import pytest

from synth2obs.core.errors import ConfigError
from synth2obs.synthesis.composition import ABSENT, SOLAR_SCALES, abundances, atomic_number, solar_scale
from synth2obs.synthesis.isotopes import TERRESTRIAL, share
from synth2obs.synthesis.line_lists import Species

ALPHA = {"O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti"}


def of(table, symbol):
    return table[atomic_number(symbol) - 1]


@pytest.mark.parametrize("name", SOLAR_SCALES)
def test_the_sun_is_the_scale(name):
    table = abundances({"teff": 5777.0, "fe_h": 0.0, "alpha_fe": 0.0, "mg_fe": 0.0}, name)
    assert table.shape == (92,)
    assert (table == solar_scale(name)).all()


def test_iron_of_two_scales():
    assert of(solar_scale("grevesse2007"), "Fe") == 7.45
    assert of(solar_scale("asplund2009"), "Fe") == 7.50


def test_metals_follow_iron_and_helium_does_not():
    sun, poor = solar_scale("grevesse2007"), abundances({"fe_h": -1.0}, "grevesse2007")
    assert (poor[:2] == sun[:2]).all()
    assert of(poor, "Li") == pytest.approx(of(sun, "Li") - 1.0)
    assert of(poor, "Tc") == ABSENT


def test_alpha_moves_its_elements_and_a_label_adds_to_it():
    sun = solar_scale("grevesse2007")
    table = abundances({"fe_h": 0.0, "alpha_fe": 0.4, "mg_fe": 0.1}, "grevesse2007")
    moved = {symbol: of(table, symbol) - of(sun, symbol) for symbol in (*ALPHA, "C", "Fe")}
    expected = {symbol: 0.4 for symbol in ALPHA} | {"Mg": 0.5, "C": 0.0, "Fe": 0.0}
    assert moved == pytest.approx(expected)


@pytest.mark.parametrize(
    "labels, scale, words",
    [({"xx_fe": 0.1}, "grevesse2007", "unknown element 'Xx'"), ({}, "lodders", "grevesse2007, asplund2009")],
)
def test_what_does_not_exist_is_named(labels, scale, words):
    with pytest.raises(ConfigError, match=words):
        abundances(labels, scale)


@pytest.mark.parametrize("symbol", TERRESTRIAL)
def test_shares_are_complete(symbol):
    assert sum(TERRESTRIAL[symbol].values()) == pytest.approx(1.0, abs=2e-3)


def test_share_of_a_species():
    assert share(Species(26, 1, (0,)), {}) == 1.0
    assert share(Species(56, 2, (137,)), {}) == 0.1123
    assert share(Species(607, 1, (13, 14)), {"C": {12: 0.9, 13: 0.1}}) == pytest.approx(0.1 * 0.99636)


def test_unknown_isotope_says_where_to_give_it():
    with pytest.raises(
        ConfigError, match="Fe of mass 60, whose share is unknown; give it in engine.isotopes"
    ):
        share(Species(26, 1, (60,)), {})
