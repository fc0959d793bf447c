"""The mixture behind the stellar-evolution prior: read in one place, drawn from in one way."""

import json

import numpy as np
import pytest

from synth2obs.core.errors import ModelError
from synth2obs.core.evolution import DEFAULT, read_evolution

STILL = np.zeros((2, 2))


@pytest.fixture(scope="module")
def evolution():
    return read_evolution()


@pytest.fixture
def changed(tmp_path):
    """The file with some of its content replaced, or left out if the new value is None."""

    def write(**changes):
        content = json.loads(DEFAULT.read_text()) | changes
        path = tmp_path / "prior.json"
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))
        return path

    return write


def draw(evolution, fe_h, count=4000):
    """Stars at one metallicity, as many of each component as the mixture says."""
    fe_h = np.full(count, fe_h)
    shares = evolution.shares(fe_h)
    uniform = np.random.default_rng(1).random((count, 3))
    return evolution.draw(fe_h, shares / shares.sum(axis=1, keepdims=True), uniform, STILL)


@pytest.mark.parametrize("fe_h", [-2.0, 0.0])
def test_draws_have_the_mean_and_width_of_the_mixture(evolution, fe_h):
    stars = draw(evolution, fe_h)
    share = evolution.shares(np.array([fe_h]))[0]
    share = np.append((1.0 - evolution.floor_weight) * share / share.sum(), evolution.floor_weight)
    centre = evolution.mean[:, :2] + evolution.slope * (fe_h - evolution.mean[:, 2:])
    centre = np.vstack([centre, evolution.floor_mean])
    widths = np.concatenate([evolution.inner, np.diag(evolution.floor_sigma**2)[None]])
    mean = share @ centre
    variance = share @ (np.diagonal(widths, axis1=1, axis2=2) + (centre - mean) ** 2)
    assert (np.abs(stars.mean(axis=0) - mean) < 5.0 * np.sqrt(variance / len(stars))).all()
    np.testing.assert_allclose(stars.std(axis=0), np.sqrt(variance), rtol=0.05)


def test_the_floor_is_drawn_as_often_as_it_weighs(evolution):
    uniform = np.full((1000, 3), 0.5)
    uniform[:, 0] = np.linspace(0.0005, 0.9995, 1000)
    shares = np.full((1000, len(evolution.weight)), 1.0 / len(evolution.weight))
    stars = evolution.draw(np.zeros(1000), shares, uniform, STILL)
    floor = (stars == evolution.floor_mean).all(axis=1)
    assert floor.mean() == pytest.approx(evolution.floor_weight, abs=2e-3) and floor[-1] and not floor[0]


def test_a_missing_or_foreign_file_is_named(tmp_path, changed):
    with pytest.raises(ModelError, match=r"absent\.json: cannot read"):
        read_evolution(tmp_path / "absent.json")
    with pytest.raises(ModelError, match=r"prior\.json: format is 'other'.*grids/evolution_prior"):
        read_evolution(changed(format="other"))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"covariance": [(-np.eye(3)).tolist()] * 60}, "positive definite"),
        ({"weight": [0.5, 0.5]}, r"shapes .* got \(2,\)"),
        ({"floor": {"weight": 1.5, "mean": [5000, 3], "sigma": [1000, 1]}}, "floor_weight .* got 1.5"),
        ({"mean": None}, "incomplete .*mean"),
    ],
)
def test_what_is_no_mixture_is_refused(changed, changes, words):
    with pytest.raises(ModelError, match=rf"prior\.json: .*{words}.*build it again"):
        read_evolution(changed(**changes))


def test_the_data_file_names_its_sources_and_stays_small():
    provenance = json.loads(DEFAULT.read_text())["provenance"]
    assert {entry["name"] for entry in provenance["libraries"]} == {"MIST", "PARSEC", "BaSTI", "Dartmouth"}
    assert all(entry["citation"] and entry["sha256"] for entry in provenance["libraries"])
    assert DEFAULT.stat().st_size < 300_000
