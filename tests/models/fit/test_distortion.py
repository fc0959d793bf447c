"""A distortion of simulated wavelengths is found within its error, and none where there is none."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.distortion import TERMS, polynomials
from synth2obs.models.fit.distortion import learn_distortion
from synth2obs.models.fit.smooth_velocity import smooth

COUNT = 24


@pytest.fixture(scope="module")
def learned(bridge, labels_of, stars_of):
    """The survey of a bridge, after stars whose wavelengths are off by a velocity (P,) in km/s."""

    def learn(velocity, **change):
        other = copy.deepcopy(bridge)
        labels, rv = labels_of(COUNT, seed=6, share=0.8), np.linspace(-20.0, 20.0, COUNT)
        spectra = stars_of(other, labels, rv, snr=100.0, seed=3)
        given = other.survey("toy").distortion
        # What the survey states is where light falls that is elsewhere: redder where v > 0.
        stated = spectra.wavelength * np.exp(velocity(spectra.wavelength) / 299792.458)
        found = learn_distortion(other, "toy", replace(spectra, wavelength=stated, **change), 3)
        return other.survey("toy"), found, given

    return learn


def test_a_placebo_has_none(learned):
    model, found, _ = learned(lambda wavelength: 0.0 * wavelength)
    assert not model.distortion.known and found["distortion_rms"] == 0 and found["distortion_degree"] == -1
    pull = (model.distortion.window_velocity / model.distortion.window_error).abs()
    assert pull.nanmedian() < 2.0


@pytest.mark.parametrize(
    "velocity",
    [
        pytest.param(lambda x: 0.15 * (x - 5200.0), id="slope"),
        pytest.param(lambda x: np.where(x > 5200.0, 12.0, -12.0), id="offset"),
    ],
)
def test_it_is_found_within_its_error(learned, velocity):
    model, found, own = learned(velocity)
    true = torch.from_numpy(velocity(model.wavelength.numpy()))
    difference = own.velocity(model.wavelength, model.segment) - true
    difference -= difference.mean()
    error = own.error(model.wavelength, model.segment).square().mean().sqrt()
    assert true.std() > 10.0 and difference.square().mean().sqrt() < 3.0 * error < 3.0
    assert found["distortion_log_odds"] > 10.0 and "zero_point" not in found


def test_velocities_that_are_given_have_a_zero_point_that_is_not_applied(learned):
    given = np.linspace(-20.0, 20.0, COUNT)
    model, found, own = learned(lambda x: 0.0 * x + 9.0, rv=given)
    assert found["zero_point"] == pytest.approx(9.0, abs=4 * float(own.zero_point_error))
    assert not own.known


def windows(count=20, seed=0, scatter=0.0):
    """Places, velocities of no distortion, and their information about a constant that nobody knows."""
    random = torch.Generator().manual_seed(seed)
    x = torch.linspace(-0.95, 0.95, count, dtype=torch.float64)
    noise = (1.0 + scatter) * torch.randn(count, generator=random, dtype=torch.float64)
    sure = torch.eye(count, dtype=torch.float64)
    return x, noise, sure - sure.mean(0), torch.arange(TERMS)


class TestSmooth:
    def test_noise_has_none(self):
        chosen = []
        for seed in range(40):
            x, noise, information, order = windows(seed=seed, scatter=2.0)
            chosen.append(smooth(noise, information, polynomials(x), order, 5).degree)
        assert chosen.count(-1) >= 38

    @pytest.mark.parametrize("degree", [1, 3])
    def test_the_degree_that_is_there(self, degree):
        x, noise, information, order = windows()
        shape = 20.0 * polynomials(x)[:, degree]
        found = smooth(noise + shape, information, polynomials(x), order, 5)
        assert found.degree == degree and found.log_odds > 20.0
        pull = (found.weight[degree] - 20.0) / found.covariance[degree, degree].sqrt()
        assert abs(pull) < 3.0 and found.scatter < 1.0

    def test_a_constant_means_nothing(self):
        x, noise, information, order = windows()
        one, two = (
            smooth(noise + 15.0 * x + each, information, polynomials(x), order, 5) for each in (0.0, 300.0)
        )
        torch.testing.assert_close(one.weight[1:], two.weight[1:])
        assert one.degree == two.degree

    def test_lines_in_a_wrong_place_widen_the_error(self):
        x, noise, information, order = windows(seed=1)
        _, wider, *_ = windows(seed=1, scatter=4.0)
        narrow, wide = (
            smooth(each + 40.0 * x, information, polynomials(x), order, 1) for each in (noise, wider)
        )
        assert wide.covariance[1, 1] > 4.0 * narrow.covariance[1, 1] and wide.scatter > 2.0

    def test_a_detector_alone_has_no_degree_zero(self):
        x, noise, information, order = windows()
        assert smooth(noise, information, polynomials(x), order, 0).degree == -1
