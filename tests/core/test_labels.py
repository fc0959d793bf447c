"""Labels that nobody gave are what is usual for the star, and the Sun is the Sun."""

import numpy as np
import pytest

from synth2obs.core.labels import LabelSpace, labels_in_words

NAMES = ("teff", "logg", "fe_h", "vmic", "c_fe", "mg_fe", "ba_fe")
LOWER = np.array([3900.0, 0.0, -2.5, 0.5, -1.0, -1.0, -1.0])
UPPER = np.array([7500.0, 5.0, 0.5, 3.0, 1.0, 1.0, 1.0])
SPACE = LabelSpace.from_values(NAMES, np.stack([LOWER, UPPER]))
SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}


def used(**labels):
    return dict(zip(NAMES, SPACE.table(labels)[0], strict=True))


def test_the_sun_has_its_own_mixture_and_microturbulence():
    sun = used(**SUN)
    assert sun["vmic"] == pytest.approx(1.0, abs=0.1)
    assert [sun[name] for name in ("c_fe", "mg_fe", "ba_fe")] == [0.0, 0.0, 0.0]


def test_alpha_elements_and_microturbulence_follow_the_star():
    giant = used(teff=4500.0, logg=1.5, fe_h=-1.5)
    assert 0.3 <= giant["mg_fe"] <= 0.4 and giant["ba_fe"] == 0.0 == giant["c_fe"]
    assert 1.4 < giant["vmic"] < 2.2


def test_what_is_given_stays():
    assert used(**SUN, vmic=2.5, mg_fe=0.1)["vmic"] == 2.5
    assert used(**SUN, mg_fe=0.1)["mg_fe"] == 0.1


def test_many_stars_each_have_their_own():
    table = SPACE.table({"teff": [4500.0, 6500.0], "logg": 4.4, "fe_h": [0.0, -1.0]})
    assert table[0, 3] < table[1, 3] and table[0, 5] < table[1, 5]


def test_they_stay_within_the_grid():
    narrow = LabelSpace.from_values(
        NAMES, np.stack([LOWER, np.where(np.array(NAMES) == "mg_fe", 0.1, UPPER)])
    )
    assert narrow.table({"teff": 5000.0, "logg": 2.0, "fe_h": -2.0})[0, 5] == 0.1
    assert not narrow.outside(narrow.table({"teff": 5000.0, "logg": 2.0, "fe_h": -2.0})).any()


def test_a_grid_of_fewer_labels_has_its_middle():
    two = LabelSpace.from_values(("teff", "logg"), np.array([[4000.0, 1.0], [6000.0, 5.0]]))
    np.testing.assert_array_equal(two.table({"teff": 5500.0}), [[5500.0, 3.0]])


def test_in_words():
    labels = {name: np.array([value]) for name, value in used(**SUN).items()}
    assert labels_in_words(labels) == "teff 5777 K, logg 4.44, fe_h 0, vmic 1.068 km/s, other [X/Fe] solar"
    assert labels_in_words({"teff": np.array([4000.0, 5000.0])}) == "teff 4000 to 5000 K"
