"""Laws of every way to choose labels."""

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.synthesis.sampling import SAMPLINGS

NAMES = ("teff", "logg", "fe_h", "vmic", "c_fe", "n_fe", "mg_fe", "ba_fe", "xx_fe")
RANGES = {"teff": (3900.0, 7500.0), "logg": (0.0, 5.0), "fe_h": (-2.5, 0.5), "vmic": (0.5, 3.0)}
RANGES |= {name: (-1.2, 1.2) for name in NAMES[4:]}
GROWS = sorted(set(SAMPLINGS) - {"latin_hypercube"})
"""Those whose first spectra stay what they are when more are asked for."""


@pytest.fixture
def make(tmp_path):
    def sampling(name, text=None, **settings):
        kind = SAMPLINGS[name]
        if name == "table":
            file = tmp_path / "labels.csv"
            file.write_text(listed() if text is None else text)
            settings["file"] = str(file)
        return kind(kind.Config(**settings))

    return sampling


def listed(rows=64):
    table = SAMPLINGS["sobol"](SAMPLINGS["sobol"].Config()).draw(NAMES, RANGES, rows, 3)
    lines = [",".join(("star", *NAMES)), *(",".join(map(str, (n, *row))) for n, row in enumerate(table))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", SAMPLINGS)
class TestEverySampling:
    def test_labels_are_inside_and_as_many_as_asked_for(self, name, make):
        table = make(name).draw(NAMES, RANGES, 50, 1)
        low, high = np.array([RANGES[label] for label in NAMES]).T
        assert table.shape == (50, len(NAMES)) and ((table >= low) & (table <= high)).all()

    def test_the_same_twice(self, name, make):
        first, second = (make(name).draw(NAMES, RANGES, 20, 7) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_a_seed_changes_what_is_drawn(self, name, make):
        first, second = (make(name).draw(NAMES, RANGES, 20, seed) for seed in (1, 2))
        assert (name == "table") == np.array_equal(first, second)

    def test_no_two_are_alike(self, name, make):
        assert len(np.unique(make(name).draw(NAMES, RANGES, 50, 1), axis=0)) == 50


@pytest.mark.parametrize("name", GROWS)
def test_more_spectra_leave_the_first_as_they_are(name, make):
    few, many = (make(name).draw(NAMES, RANGES, count, 1) for count in (13, 60))
    np.testing.assert_array_equal(many[:13], few)


@pytest.mark.parametrize("name", ["sobol", "latin_hypercube"])
def test_even_samplings_fill_their_ranges(name, make):
    table = make(name).draw(NAMES, RANGES, 64, 1)
    low, high = np.array([RANGES[label] for label in NAMES]).T
    np.testing.assert_allclose(table.mean(axis=0), 0.5 * (low + high), atol=0.1 * (high - low).max())


def test_population_has_the_shares_that_are_asked_for(make):
    table = make("population", metal_poor=0.2, giants=0.7).draw(NAMES, RANGES, 1000, 1)
    assert (table[:, 2] < -1.0).mean() == pytest.approx(0.2, abs=0.06)
    assert (table[:, 1] < 3.6).mean() == pytest.approx(0.7, abs=0.1)


def changed(old, new):
    return listed(4).replace(old, new)


@pytest.mark.parametrize(
    "text, words",
    [
        (changed("mg_fe", "mg"), "mg_fe: row 2 has no number: None; give every label a column"),
        (changed("\n1,", "\n1,x"), "teff: row 3 has no number: 'x"),
        (changed("\n1,", "\n1,9"), "teff: row 3: .* lies outside 3900 to 7500; widen labels.ranges"),
        (listed(3), "has 3 rows, 4 are asked for; lower grid.spectra"),
    ],
)
def test_wrong_table_says_where(make, text, words):
    with pytest.raises(DataError, match=words):
        make("table", text).draw(NAMES, RANGES, 4, 1)


def test_missing_table_is_named():
    kind = SAMPLINGS["table"]
    with pytest.raises(DataError, match="nowhere.csv: cannot be read: No such file.*check the name"):
        kind(kind.Config(file="nowhere.csv")).draw(NAMES, RANGES, 4, 1)


def test_carbon_stars_are_left_out_when_asked(make):
    """log C/O of the Sun is -0.27: cool stars with as much carbon as oxygen have [C/O] above that."""
    names = ("teff", "logg", "fe_h", "vmic", "c_fe", "o_fe")
    ranges = RANGES | {"o_fe": (-1.2, 1.2)}

    def carbon(**settings):
        table = make("population", **settings).draw(names, ranges, 2000, 1)
        return (table[:, 0] < 5000) & (table[:, 4] - table[:, 5] > 0.26)

    assert 5 < carbon().sum() < 200 and not carbon(carbon_stars=False).any()
