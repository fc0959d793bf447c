"""A classifier two-sample test on residuals whose difference is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from synth2obs.analysis.entrants import Answer
from synth2obs.analysis.proof.two_sample import binned, separation, simulated, told_from_stars, whitened

STARS, BINS = 80, 300


def noise(seed):
    return np.random.default_rng(seed).normal(size=(STARS, BINS))


def test_chance_where_there_is_no_difference():
    found = [separation(noise(2 * k), noise(2 * k + 1), np.arange(STARS), 40) for k in range(6)]
    values = np.array([score.value for score in found])
    assert abs(values.mean() - 0.5) < 0.06
    assert values.std() < 2.5 * found[0].error


def test_a_line_that_all_stars_lack_is_seen():
    shift = np.zeros(BINS)
    shift[::30] = 1.0
    assert separation(noise(0) + shift, noise(1), np.arange(STARS), 40).value > 0.8


def test_lines_that_are_right_on_average_but_in_no_star_are_seen():
    scatter = np.ones(BINS)
    scatter[::10] = 2.0
    assert separation(scatter * noise(0), noise(1), np.arange(STARS), 40).value > 0.8


def test_copies_of_a_spectrum_do_not_teach_what_they_are_told():
    # The same spectrum four times, whose residual has no counterpart in any other.
    groups = np.repeat(np.arange(STARS // 4), 4)
    own = np.repeat(np.random.default_rng(5).normal(size=(STARS // 4, BINS)), 4, axis=0)
    found = separation(noise(0) + own, noise(1) + own, groups, 40)
    assert abs(found.value - 0.5) < 0.12


def test_one_spectrum_cannot_be_told():
    assert np.isnan(separation(noise(0), noise(1), np.zeros(STARS), 40).value)


def test_bins_of_white_noise_are_white():
    assert binned(np.random.default_rng(0).normal(size=(50, 401)), 4).shape == (50, 100)
    assert binned(np.random.default_rng(0).normal(size=(50, 401)), 4).std() == pytest.approx(1.0, abs=0.03)


class Told:
    """A method that says that every star is at its continuum of 2, whatever it is shown."""

    def answer(self, seen, start=None):
        shape = seen.flux.shape
        level = torch.full(shape, 2.0)
        fit = SimpleNamespace(continuum=level, spectrum=torch.ones(shape), ivar=seen.ivar)
        return Answer(np.zeros((len(shape), 3)), np.ones((len(shape), 3)), fit)


def stars(depth):
    from synth2obs.models.fit.observation import Observation

    random = torch.Generator().manual_seed(2)
    flux = 2.0 + 0.02 * torch.randn(STARS, BINS, generator=random)
    flux[:, 100:104] -= depth
    ivar = torch.full_like(flux, 2500.0)
    ivar[:, :20] = 0.0
    log_wave = torch.linspace(8.5, 8.6, BINS)
    spread = SimpleNamespace(survey_variance=torch.full((1, BINS), 4.0), step=1e-4)
    basis = torch.ones(BINS, 1)
    return Observation("far", spread, flux, ivar, log_wave, basis, torch.zeros(STARS), torch.zeros(BINS))


@pytest.mark.parametrize("depth, low, high", [(0.0, 0.3, 0.7), (0.05, 0.85, 1.0)])
def test_a_method_is_told_from_stars_by_what_it_leaves(depth, low, high):
    seen, method = stars(depth), Told()
    fit = method.answer(seen).fit
    found = told_from_stars(method, seen, fit, np.arange(STARS), 1.0, 40)
    assert low < found.value <= high


def test_simulated_stars_have_the_noise_that_is_asked_for():
    seen = stars(0.05)
    fit = Told().answer(seen).fit
    made = simulated(seen, fit, 1.5)
    residual = whitened(made, fit, 1.5)
    assert (residual[:, :20] == 0).all() and residual[:, 20:].std() == pytest.approx(1.0, abs=0.02)
    assert torch.equal(simulated(seen, fit, 1.5).flux, made.flux)
