import numpy as np
import pytest

from synth2obs.core.weights import huge_error, marked_bad


@pytest.mark.parametrize("level, limit", [(1.0, 1e9), (1e4, 1e9), (1e-26, 1e-17), (1e12, 1e15), (1e7, 1e10)])
def test_marks_follow_the_units_of_the_flux(level, limit):
    assert huge_error(np.array([level]))[0] == pytest.approx(limit)


@pytest.mark.parametrize("level", [1e-60, 1e-17, 1.0, 1e5, 1e12])
@pytest.mark.parametrize("mark", [1e10, np.inf, np.nan, -1.0, 0.0])
def test_marks_are_found_even_if_most_pixels_have_them(level, mark):
    flux, error = np.full((2, 100), level), np.full((2, 100), level / 50)
    flux[:, 20:], error[:, 20:] = 0.0, mark * max(level, 1.0)
    assert (marked_bad(flux, error) == (np.arange(100) >= 20)).all()


def test_noise_is_no_mark():
    random = np.random.default_rng(0)
    flux = random.normal(0, 1, (3, 500))
    assert not marked_bad(flux, np.full(flux.shape, 100.0)).any()
