"""Scores and their errors against hands and simple worlds."""

import numpy as np
import pytest

from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.analysis.proof.slopes import bias_slopes
from synth2obs.analysis.proof.star_scores import gap_explained
from synth2obs.analysis.proof.statistics import average_precision, scatter, slope


class TestAveragePrecision:
    def test_by_hand(self):
        # Found in the order +, -, +, -: precision 1 at recall 1/2, 2/3 at recall 1.
        assert average_precision([4, 3, 2, 1], [1, 0, 1, 0]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)

    def test_perfect_and_worst(self):
        assert average_precision([3, 2, 1], [1, 1, 0]) == 1.0
        assert average_precision([3, 2, 1], [0, 0, 1]) == pytest.approx(1 / 3)

    def test_equal_scores_are_one_step_in_whatever_order(self):
        assert average_precision([1, 1, 1, 1], [1, 0, 0, 0]) == pytest.approx(0.25)
        assert average_precision([1, 1, 1, 1], [0, 0, 0, 1]) == pytest.approx(0.25)

    def test_chance_has_the_share_of_positives(self):
        random = np.random.default_rng(0)
        assert average_precision(
            random.uniform(size=20000), random.uniform(size=20000) < 0.1
        ) == pytest.approx(0.1, abs=0.01)

    def test_no_positive(self):
        assert np.isnan(average_precision([1.0, 2.0], [0, 0]))


class TestBootstrap:
    def test_error_of_a_mean(self):
        values = np.random.default_rng(0).normal(size=400)
        found = bootstrap(lambda rows: float(values[rows].mean()), np.arange(400), 400)
        assert found.value == values.mean()
        assert found.error == pytest.approx(1 / 20, rel=0.15)

    def test_copies_are_no_witnesses(self):
        values = np.repeat(np.random.default_rng(0).normal(size=100), 9)
        found = bootstrap(lambda rows: float(values[rows].mean()), np.repeat(np.arange(100), 9), 400)
        assert found.error == pytest.approx(0.1, rel=0.2)

    def test_one_group_has_no_error(self):
        found = bootstrap(lambda rows: float(len(rows)), np.zeros(5), 20)
        assert found.value == 5 and np.isnan(found.error)

    def test_scatter_of_a_normal(self):
        values = np.random.default_rng(1).normal(3.0, 2.0, 20000)
        assert scatter(values) == pytest.approx(2.0, rel=0.03)


class TestGapExplained:
    theory = np.array([2.0, 4.0, 6.0, 8.0])

    @pytest.mark.parametrize("left, share", [(1.0, 0.0), (0.25, 0.75), (0.0, 1.0), (2.0, -1.0)])
    def test_share_of_the_excess_that_is_gone(self, left, share):
        found = gap_explained(self.theory, left * self.theory, np.arange(4), 20)
        assert found.value == pytest.approx(share) and found.error == pytest.approx(0.0, abs=1e-12)


class TestSlopes:
    def test_a_straight_line(self):
        found = slope([0.0, 1.0, 2.0], [Score(1.0, 0.1), Score(3.0, 0.1), Score(5.0, 0.1)])
        assert found.value == pytest.approx(2.0) and found.error == pytest.approx(0.1 / 2**0.5)

    def test_unknown_points_are_left_out(self):
        found = slope([0.0, 1.0, 2.0], [Score(1.0, 0.1), Score(9.0), Score(5.0, 0.1)])
        assert found.value == pytest.approx(2.0)
        assert np.isnan(slope([0.0, 1.0], [Score(1.0), Score(2.0)]).value)

    def test_by_method_and_label(self):
        surveys = [
            {"morph": {"teff_bias": {"value": 10.0 * drift, "error": 1.0}}} for drift in (0.0, 0.5, 1.0)
        ]
        found = bias_slopes([0.0, 0.5, 1.0], surveys)["morph"]
        assert found["teff_slope"]["value"] == pytest.approx(10.0)
        assert found["logg_slope"] == {"value": None, "error": None}
