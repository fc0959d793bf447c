"""Noise learned from residuals: what was put in comes out, at any signal-to-noise."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.fit.noise import learn_noise
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.noise.survey_noise import NUMBERS, TheoryErrors

COUNT, SCATTER = 160, 0.01


@pytest.fixture(scope="module")
def stage(build, labels_of, stars_of):
    """Stars at S/N 30 to 300, and a fit whose residuals are to be replaced."""
    bridge = build(degree=0)
    spectra = stars_of(bridge, labels_of(COUNT, seed=9, share=0.6), np.zeros(COUNT), snr=100.0, seed=6)
    snr = 30.0 * 10 ** np.linspace(0, 1, COUNT)[:, None]
    seen = prepare(bridge, "toy", replace(spectra, ivar=(spectra.ivar * (snr / 100) ** 2).astype(np.float32)))
    bridge.survey("toy").gap.scatter.fill_(SCATTER**2)
    start = torch.zeros(COUNT, 5, dtype=torch.float64)
    return bridge.survey("toy"), seen, fit_labels(bridge, seen, Options(steps=2, refresh=1), start, seen.rv)


def drawn(seen, fit, *, white=1.0, wide=0.0, length=10.0, narrow=0.0, seed=0):
    """Residuals of quoted noise times √white, and smooth and narrow errors of theory that share the scatter."""
    random = np.random.default_rng(seed)
    shape = fit.residual.shape
    noise = (
        (white / seen.ivar.clamp(min=1e-9)).sqrt().numpy() * random.normal(size=shape) / fit.continuum.numpy()
    )
    smooth = random.normal(size=shape)
    rho = np.exp(-1 / length)
    for pixel in range(1, shape[1]):
        smooth[:, pixel] = rho * smooth[:, pixel - 1] + np.sqrt(1 - rho**2) * smooth[:, pixel]
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 0.8) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    rough = np.stack([np.convolve(row, kernel, "same") for row in random.normal(size=shape)])
    total = noise + SCATTER * (wide**0.5 * smooth + narrow**0.5 * rough)
    return replace(fit, residual=torch.from_numpy(total).float() * (fit.ivar > 0))


def quiet(model):
    """A copy without scatter to speak of."""
    other = copy.deepcopy(model)
    other.gap.scatter.fill_(1e-8)
    return other


def test_photon_noise_is_not_theory_s_error(stage):
    model, seen, fit = stage
    model = quiet(model)
    learn_noise(model, seen, drawn(seen, fit))
    assert float(model.noise.white) == pytest.approx(1.0, abs=0.06)
    errors = TheoryErrors(*2 * [torch.full_like(seen.ivar, 1e-4)])
    noise = model.noise.of(seen.ivar, errors, seen.log_wave, seen.segment)
    assert ((noise.marginal / seen.ivar)[seen.ivar > 0] > 0.8).all()


@pytest.mark.parametrize("wide", [0.4, 1.0])
def test_a_wide_error_comes_back(stage, wide):
    model, seen, fit = stage
    found = learn_noise(model, seen, drawn(seen, fit, wide=wide, narrow=1.0 - wide))
    step = float(seen.log_wave.diff().median())
    assert found["wide"] == pytest.approx(wide, rel=0.25)
    assert found["length"] / step == pytest.approx(10.0, rel=0.3)
    assert (
        float(model.noise.wide_error) > 0
        and abs(found["wide"] - wide) < 5 * float(model.noise.wide_error) + 0.1
    )


def test_a_narrow_error_counts_as_often_as_its_pixels_err_together(stage):
    model, seen, fit = stage
    found = learn_noise(model, seen, drawn(seen, fit, narrow=1.0))
    # 2 √π times the kernel's width of 0.8 pixels.
    assert found["narrow"] == pytest.approx(2.8, rel=0.25)
    assert found["wide"] < 0.1


def test_narrow_errors_are_found_beside_wide_ones_that_a_continuum_has_taken_away(stage):
    model, seen, fit = stage
    whole = drawn(seen, fit, wide=0.6, narrow=0.4, length=30.0)
    good = fit.ivar > 0
    level = whole.residual.sum(1, keepdim=True) / good.sum(1, keepdim=True)
    found = learn_noise(model, seen, replace(whole, residual=(whole.residual - level) * good))
    assert found["narrow"] == pytest.approx(0.4 * 2.8, rel=0.25)


def test_errors_larger_than_the_scatter_are_narrow_and_wide_alike(stage):
    """Twice the variance that the scatter says: both parts are twice as large."""
    model, seen, fit = stage
    found = learn_noise(model, seen, drawn(seen, fit, wide=1.2, narrow=0.8))
    assert found["wide"] == pytest.approx(1.2, rel=0.3)
    assert found["narrow"] == pytest.approx(0.8 * 2.8, rel=0.3)


@pytest.mark.parametrize("white", [0.5, 2.0])
def test_quoted_noise_is_scaled(stage, white):
    model, seen, fit = stage
    found = learn_noise(quiet(model), seen, drawn(seen, fit, white=white))
    assert found["white"] == pytest.approx(white, rel=0.15)
    assert float(model.noise.white_error) < 0.3


def test_a_single_star_changes_little(stage):
    model, seen, fit = stage
    found = learn_noise(model, seen, drawn(seen, fit), rows=torch.tensor([3]))
    assert all(np.isfinite(value) for value in found.values())
    assert found["white"] == pytest.approx(1.0, abs=0.5)


def test_no_star_is_no_news(stage):
    model, seen, fit = stage
    found = learn_noise(model, seen, drawn(seen, fit), rows=torch.zeros(0, dtype=torch.int64))
    assert found == {name: float(getattr(model.noise, name)) for name in NUMBERS}
