"""Labels against what else is known of the stars: slopes that are there are found, and nothing is made up."""

from types import SimpleNamespace

import numpy as np
import pytest

from synth2obs.analysis import column_trends as module
from synth2obs.analysis.column_trends import FEWEST, column_trends, robust_slope

STARS = 120
KEYS = {"teff", "logg", "fe_h", "chi2_per_pixel"}


@pytest.fixture
def random():
    return np.random.default_rng(5)


def test_laws_of_a_slope(random):
    x, y = random.normal(size=(2, 50))
    found = robust_slope(x, y)
    for other, factor in (
        (robust_slope(x + 7.0, y - 3.0), 1.0),
        (robust_slope(x, -2.0 * y), -2.0),
        (robust_slope(4.0 * x, y), 0.25),
    ):
        assert other["slope"] == pytest.approx(factor * found["slope"])
        assert other["error"] == pytest.approx(abs(factor) * found["error"])
    holes = np.insert(x, 3, np.nan), np.insert(y, 3, 1e9)
    assert robust_slope(*holes)["n"] == 50


def test_strange_stars_do_not_move_a_slope(random):
    x = random.normal(size=STARS)
    y = 30.0 * x + random.normal(size=STARS)
    y[::6] += 1e4 * random.normal(size=STARS // 6)
    found = robust_slope(x, y)
    assert abs(found["slope"] - 30.0) < 4 * found["error"] < 4.0


def test_errors_are_right(random):
    draws = [robust_slope(*random.normal(size=(2, 40))) for _ in range(60)]
    pulls = np.array([found["slope"] / found["error"] for found in draws])
    assert 0.7 < np.sqrt(np.mean(pulls**2)) < 1.35


def test_many_stars_are_as_good_and_no_slower(random):
    x = random.normal(size=20_000)
    found = robust_slope(x, x + random.normal(size=len(x)))
    assert found["n"] == module.MOST and abs(found["slope"] - 1.0) < 4 * found["error"]


@pytest.mark.parametrize(
    "x, y",
    [
        (np.arange(FEWEST - 1.0), np.arange(FEWEST - 1.0)),
        (np.ones(50), np.arange(50.0)),
        (np.full(50, np.nan), np.arange(50.0)),
        (np.arange(50.0), np.full(50, np.inf)),
    ],
    ids=["few", "all the same", "unknown column", "unknown labels"],
)
def test_no_slope_where_there_is_none(x, y):
    assert robust_slope(x, y) == {}


@pytest.fixture
def trends(random, monkeypatch):
    """A function from columns to the trends of stars whose Teff follows one of them."""

    def make(native, snr=None, teff=None):
        values = {key: random.normal(size=STARS) for key in KEYS}
        if teff is not None:
            values["teff"] = teff
        monkeypatch.setattr(module, "quantities", lambda tested: values)
        snr = np.full(STARS, np.nan) if snr is None else snr
        return column_trends(SimpleNamespace(spectra=SimpleNamespace(snr=snr, native=native)))

    return make


def test_nothing_is_carried(trends):
    native = {"file": np.array(["a"] * STARS), "object": np.array([f"s{n % 3}" for n in range(STARS)])}
    assert trends(native) == {}


def test_a_column_is_measured_in_its_own_spread(trends, random):
    airmass = random.uniform(1.0, 2.0, STARS)
    airmass[:5] = np.nan
    teff = 200.0 * np.nan_to_num(airmass) + random.normal(size=STARS)
    found = trends(
        {"airmass": airmass, "constant": np.ones(STARS)}, snr=random.uniform(20, 90, STARS), teff=teff
    )
    assert "groups" not in found
    snr, row = found["numbers"]
    assert snr["column"] == "snr" and row["column"] == "airmass" and set(row) == {"column", "spread", *KEYS}
    assert row["teff"]["slope"] / row["spread"] == pytest.approx(200.0, abs=2.0)
    assert row["teff"]["n"] == STARS - 5
    assert abs(row["logg"]["slope"]) < 4 * row["logg"]["error"]
    assert abs(snr["teff"]["slope"]) < 4 * snr["teff"]["error"]


def test_the_surveys_own_snr_stands_beside_ours(trends, random):
    snr = random.uniform(20, 90, STARS)
    assert [row["column"] for row in trends({"snr": snr}, snr)["numbers"]] == ["snr", "native snr"]


def test_groups_of_a_text(trends, random):
    field = np.array([("north", "south", "", "rare")[min(n % 3, 2)] for n in range(STARS)])
    field[0] = "rare"
    teff = np.where(field == "south", 80.0, 0.0) + random.normal(size=STARS)
    names = np.array([f"star {n}" for n in range(STARS)])
    found = trends({"field": field, "name": names, "site": np.array(["x"] * STARS)}, teff=teff)
    rows = {row["group"]: row for row in found["groups"]}
    assert {row["column"] for row in rows.values()} == {"field"} and set(rows) == {"north", "south"}
    assert rows["south"]["teff"]["median"] == pytest.approx(80.0, abs=1.0)
    assert rows["south"]["teff"]["n"] == STARS // 3 and set(rows["north"]) == {"column", "group", *KEYS}


def test_a_training_measures_them(trained):
    for row in trained.metrics["surveys"].values():
        told = {one["column"] for one in row.get("trends", {}).get("numbers", [])}
        assert told == ({"snr"} if row["n_test"] >= FEWEST else set())
