"""The same stars in two surveys: what each has of the lines, and what is scored of one and the other."""

from types import SimpleNamespace

import numpy as np
import pytest

from synth2obs.analysis.proof.line_scores import Change, alone_elsewhere, change_scores
from synth2obs.analysis.proof.observe import Defects
from synth2obs.analysis.proof.same_stars import same_stars
from synth2obs.analysis.proof.settings import SCENARIOS
from synth2obs.analysis.proof.simulate import SECOND, file_of, simulate, surveys_of
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.errors import DataError
from synth2obs.io.shard.read import read_shard

SEED = 20
TWO = Twist(missing=0.3, second="embedded:stelib")


@pytest.fixture(scope="module")
def pair(config):
    return simulate(config, TWO, SEED)


class TestSimulation:
    def test_stars_are_the_same_and_their_spectra_are_not(self, pair):
        one, two = pair.truth, pair.second.truth
        for name in ("labels", "held_labels", "rv", "held_rv", "spectrum", "held_spectrum"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        np.testing.assert_array_equal(pair.survey.id, pair.second.survey.id)
        assert pair.survey.flux.shape[1] != pair.second.survey.flux.shape[1]
        assert pair.second.second is None

    def test_every_line_that_theory_lacks_is_in_one_survey(self, pair, lacking):
        one, two = pair.truth, pair.second.truth
        np.testing.assert_array_equal(one.line_removed | two.line_removed, lacking.truth.line_removed)
        assert not (one.line_removed & two.line_removed).any()
        assert abs(int(one.line_removed.sum()) - int(two.line_removed.sum())) <= 1
        np.testing.assert_array_equal(one.line_elsewhere, two.line_removed)
        np.testing.assert_array_equal(pair.theory.flux, lacking.theory.flux)
        np.testing.assert_array_equal(pair.second.theory.flux, pair.theory.flux)

    def test_both_gaps_together_are_all_that_theory_lacks(self, pair, lacking):
        together = pair.truth.gap + pair.truth.gap_elsewhere
        np.testing.assert_allclose(together, lacking.truth.gap, atol=1e-6)

    def test_a_star_lacks_what_only_the_other_survey_has(self, pair, lacking):
        truth, other = pair.truth, pair.truth.line_elsewhere & ~pair.truth.line_removed
        pixels = truth.gap_wavelength
        still = np.abs(truth.held_rv) < 15
        rows = [np.abs(pixels - place).argmin() for place in truth.line_wavelength[other]]
        deeper = (truth.held_flux - lacking.truth.held_flux)[still][:, rows]
        assert np.median(deeper) > 0.01 and (deeper > -1e-3).all()

    def test_half_as_strong_lines_are_shared_out_as_well(self, config, pair):
        half = simulate(config, Twist(missing=0.3, strength=0.5, second=TWO.second), SEED)
        np.testing.assert_allclose(half.truth.gap, 0.5 * pair.truth.gap, atol=1e-6)

    def test_files_of_both(self, pair, tmp_path):
        pair.write(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {
            *("theory.h5", "survey.h5", "held.h5", "truth.npz"),
            *("second.h5", "second_held.h5", "second_truth.npz"),
        }
        assert len(read_shard(tmp_path / file_of(SECOND, "held.h5"))) == len(pair.held)
        again = Truth.load(tmp_path / "second_truth.npz")
        np.testing.assert_array_equal(again.line_elsewhere, pair.truth.line_removed)
        assert surveys_of(TWO) == ("survey", "second") and surveys_of(Twist()) == ("survey",)

    def test_a_second_survey_that_is_none_is_refused(self, config):
        with pytest.raises(DataError, match="not a survey"):
            simulate(config, Twist(missing=0.3, second="embedded:optical_grid"), SEED)


class TestFewStars:
    def test_those_that_score_are_always_the_same(self, config):
        cases = SCENARIOS["few_stars"](stars=(30, 60)).cases()
        assert list(cases) == ["30", "60"]
        few, more = (simulate(config, twist, SEED) for twist in cases.values())
        assert len(few.survey) == 30 and len(more.survey) == 60
        np.testing.assert_array_equal(few.held.flux, more.held.flux)
        np.testing.assert_array_equal(few.truth.line_removed, more.truth.line_removed)

    def test_as_many_as_the_simulation_says_are_the_usual_ones(self, config, placebo):
        train = len(placebo.survey)
        same = simulate(config, Twist(stars=train), SEED)
        np.testing.assert_array_equal(same.held.flux, placebo.held.flux)
        assert set(same.truth.spectrum) <= set(range(10_000)) and len(same.survey) == train


def lines_truth():
    """Lines at 5010 (own), 5012 (the other's, beside it), 5050 (the other's alone), 5080 (nobody's)."""
    wavelength = np.linspace(5000.0, 5100.0, 401)
    places = np.array([5010.0, 5012.0, 5050.0, 5080.0])
    own, other = np.array([1, 0, 0, 0], bool), np.array([0, 1, 1, 0], bool)

    def gap(chosen):
        return -sum(0.1 * np.exp(-0.5 * ((wavelength - place) / 1.0) ** 2) for place in places[chosen])

    empty = np.zeros((2, 0))
    return Truth(
        label_names=np.array(["teff"]),
        labels=empty,
        held_labels=empty,
        rv=np.zeros(2),
        held_rv=np.zeros(2),
        spectrum=np.arange(2),
        held_spectrum=np.arange(2),
        held_flux=np.zeros((2, 0), np.float32),
        line_wavelength=places,
        line_start=places - 1.0,
        line_stop=places + 1.0,
        line_removed=own,
        line_elsewhere=other,
        gap_wavelength=wavelength,
        gap=gap(own),
        gap_elsewhere=gap(other),
    )


def test_a_line_beside_an_own_one_is_not_the_others_alone():
    start, stop = alone_elsewhere(lines_truth(), 2.0)
    assert len(start) == 1 and start[0] < 5050 < stop[0]


@pytest.mark.parametrize("given", [0.0, 0.5, 1.0])
def test_depth_given_to_the_wrong_survey(given):
    truth = lines_truth()
    mean = truth.gap + given * truth.gap_elsewhere
    found = change_scores(Change(truth.gap_wavelength, mean, np.full(401, 0.01), 1.0), truth, 20)
    assert found["depth_elsewhere"].value == pytest.approx(given, abs=0.02)
    assert found["auprc_lines"].value == (1.0 if given < 1 else pytest.approx(1.0, abs=0.6))


def test_labels_of_the_same_stars():
    random = np.random.default_rng(0)
    labels = random.normal(size=(200, 3))
    off = np.array([10.0, 0.1, -0.05])
    one = SimpleNamespace(methods={"morph": {}}, arrays={"morph_labels": labels})
    two = SimpleNamespace(arrays={"morph_labels": labels + off + 0.01 * random.normal(size=(200, 3))})
    found = same_stars(one, two, SimpleNamespace(held_spectrum=np.arange(200)), 40)["morph"]
    for name, value in zip(("teff", "logg", "fe_h"), off, strict=True):
        assert found[f"{name}_between_bias"].value == pytest.approx(value, abs=0.005)
        assert found[f"{name}_between_scatter"].value == pytest.approx(0.01, rel=0.2)
        assert 0 < found[f"{name}_between_bias"].error < 0.003


def test_what_scenarios_change():
    assert {name: kind().name for name, kind in SCENARIOS.items() if name != "other_physics"} == {
        name: name for name in SCENARIOS if name != "other_physics"
    }
    ((key, twist),) = SCENARIOS["two_surveys"](share=0.2).cases().items()
    assert key == "" and twist == Twist(missing=0.2, second="embedded:stelib", defects=Defects())
