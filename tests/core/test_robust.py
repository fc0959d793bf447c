"""Medians and their errors; distances from Balmer lines."""

import numpy as np
import pytest

from synth2obs.core.robust import middle
from synth2obs.core.wavelengths import from_balmer


def test_error_of_a_median_is_its_scatter():
    draws = np.random.default_rng(0).normal(3.0, 2.0, (400, 900))
    found = [middle(draw[:, None]) for draw in draws]
    medians = np.array([value[0] for value, _ in found])
    assert medians.mean() == pytest.approx(3.0, abs=0.02)
    assert np.mean([error[0] for _, error in found]) == pytest.approx(medians.std(), rel=0.1)


def test_columns_are_apart_and_one_strange_value_moves_nothing():
    values = np.stack([np.arange(9.0), np.r_[np.zeros(8), 1e9]], axis=1)
    median, error = middle(values)
    assert median.tolist() == [4.0, 0.0] and error[1] == 0.0


def test_distance_from_the_nearest_balmer_line():
    found = from_balmer(np.array([[6564.6, 6574.6], [4862.0, 5713.7]]))
    np.testing.assert_allclose(found, [[0.0, 10.0], [0.7, 850.9]], atol=0.1)
