"""Bands of a wavelength grid: where they are, that they share a step, and places inside them."""

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import band_positions, bands, coarsest, log_grid, log_step, on_detectors

STEP = 2e-5


def stretch(start, count, step=STEP):
    return start * np.exp(step * np.arange(count))


@pytest.fixture
def optical_and_h():
    return np.concatenate([stretch(5000.0, 300), stretch(6500.0, 50), stretch(15100.0, 700)])


def test_a_grid_without_holes_is_one_band():
    grid = log_grid(4000.0, 4100.0, STEP)
    assert bands(grid) == [slice(0, len(grid))]


def test_bands_are_the_stretches_between_holes(optical_and_h):
    assert bands(optical_and_h) == [slice(0, 300), slice(300, 350), slice(350, 1050)]
    assert log_step(optical_and_h) == pytest.approx(STEP, rel=1e-9)


@pytest.mark.parametrize("missing, count", [(1, 2), (0, 1)])
def test_a_hole_is_one_missing_sample(missing, count):
    grid = stretch(5000.0, 100)
    assert len(bands(np.delete(grid, slice(40, 40 + missing)))) == count


@pytest.mark.parametrize("grid", [[5000.0], [], [5000.0, 5000.0], [5000.0, 4999.0], [5000.0, np.nan, 5002.0]])
def test_grids_that_do_not_increase_are_refused(grid):
    with pytest.raises(DataError, match=r"wavelength: .* must be at least two and increase; sort the grid"):
        bands(np.array(grid))


@pytest.mark.parametrize(
    "second",
    [stretch(6000.0, 200, STEP * (1 + 1e-5)), stretch(6000.0, 1), np.linspace(6000.0, 6020.0, 170)],
    ids=["another step", "a single sample", "uniform in wavelength"],
)
def test_bands_of_different_steps_are_refused(second):
    with pytest.raises(DataError, match=r"not uniform in ln λ \(steps .* in 2 bands\); resample every band"):
        log_step(np.concatenate([stretch(5000.0, 200), second]))


def test_positions_count_samples_and_no_holes(optical_and_h):
    samples = np.arange(len(optical_and_h))
    np.testing.assert_allclose(band_positions(optical_and_h, optical_and_h), samples, rtol=0, atol=1e-6)
    middle = optical_and_h[[10, 320, 900]] * np.exp(0.25 * STEP)
    np.testing.assert_allclose(band_positions(middle, optical_and_h), [10.25, 320.25, 900.25], atol=1e-6)


def test_positions_never_pass_the_ends_of_a_band(optical_and_h):
    ends = optical_and_h[[0, 299, 300, 1049]] * np.exp(STEP * 1e-7 * np.array([-1, 1, -1, 1]))
    assert band_positions(ends, optical_and_h).tolist() == [0, 299, 300, 1049]


@pytest.mark.parametrize("wavelength", [4999.9, 5031.0, 10000.0, 16000.0, np.nan, -1.0])
def test_wavelengths_in_holes_and_outside_are_refused(wavelength, optical_and_h):
    with pytest.raises(
        DataError, match=r"1 wavelengths lie outside the bands 5000\.00-5029\..* Å, the first at"
    ):
        band_positions(np.array([5001.0, wavelength]), optical_and_h)


def test_of_grids_that_reach_about_as_far_the_coarsest():
    reach, width = {"": 100, "fine": 101, "short": 40}, {"": 3.0, "fine": 1.0, "short": 9.0}
    assert coarsest(reach, width) == ""
    assert coarsest({**reach, "fine": 110}, width) == "fine"


def test_on_detectors_leaves_out_what_lies_between_them():
    pixels, segment = np.array([4.0, 5.0, 8.0, 9.0, 6.0, 6.5]), np.array([0, 0, 1, 1, 2, 2])
    query = np.array([[3.9, 4.0, 4.6], [5.5, 6.2, 9.1]])
    np.testing.assert_array_equal(
        on_detectors(query, pixels, segment), [[False, True, True], [False, True, False]]
    )
