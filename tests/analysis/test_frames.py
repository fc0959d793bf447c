"""A telluric band and a missing stellar line are each found in their own frame, or nothing is said."""

import numpy as np
import pytest

from synth2obs.analysis.frames import separate

PIXELS = 300
NODES = np.log(6000.0) + 1e-4 * np.arange(PIXELS)
SEGMENT = np.zeros(PIXELS, np.int64)
SKY, LINE = 100, 200
"""Nodes in whose middle the band and the line are."""


def profile(at, centre, depth):
    """A line three nodes wide."""
    return -depth * np.exp(-0.5 * ((at - NODES[centre]) / 1.5e-4) ** 2)


def scene(stars=60, spread=4.0, sky=0.05, line=0.05, seed=0, own=False):
    """Residuals of S/N 100 of stars whose shifts scatter by ``spread`` nodes."""
    random = np.random.default_rng(seed)
    shift = 1e-4 * spread * random.normal(size=stars)
    wave = NODES + own * 0.3e-4 * random.normal(size=(stars, 1))
    clean = profile(wave, SKY, sky) + profile(wave - shift[:, None], LINE, line)
    residual = np.broadcast_to(clean, (stars, PIXELS)) + 0.01 * random.normal(size=(stars, PIXELS))
    ivar = np.full(residual.shape, 1e4)
    return residual, ivar, wave, shift, NODES, SEGMENT


@pytest.mark.parametrize("own", [False, True])
def test_each_is_found_in_its_own_frame(own):
    found = separate(*scene(own=own))
    assert not found.untold[50:250].any()
    assert found.observed[SKY] == pytest.approx(-0.05, abs=0.008)
    assert found.rest[LINE] == pytest.approx(-0.05, abs=0.008)
    assert np.abs(found.observed[LINE - 6 : LINE + 7]).max() < 0.004
    assert np.abs(found.rest[SKY - 6 : SKY + 7]).max() < 0.004
    assert found.foreign(float(np.exp(NODES[SKY])), 0.02) and not found.foreign(
        float(np.exp(NODES[SKY])), -0.02
    )
    assert not found.foreign(float(np.exp(NODES[LINE])), 0.05)
    fixed = found.fixed().nonzero()[0]
    assert SKY in fixed and np.abs(fixed - SKY).max() <= 5


def test_errors_are_those_of_many_draws():
    draws = [separate(*scene(seed=seed)) for seed in range(12)]
    truth = profile(NODES, SKY, 0.05)
    pulls = np.array([(one.observed - truth) / one.observed_error for one in draws])[:, 50:250]
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.3


def test_with_one_velocity_it_says_that_nothing_is_told_and_leaves_all_to_the_stars():
    found = separate(*scene(spread=0.0))
    assert found.untold.all() and found.spread == 0.0
    assert not found.observed.any() and np.isinf(found.observed_error).all() and not found.fixed().any()
    assert found.rest[SKY] == pytest.approx(-0.05, abs=0.01)
    assert found.rest[LINE] == pytest.approx(-0.05, abs=0.01)


def test_nothing_is_found_where_nothing_is():
    found = separate(*scene(sky=0.0, line=0.0))
    assert not found.fixed().any() and np.abs(found.observed).max() < 0.003


def test_masked_and_strange_pixels_do_no_harm():
    residual, ivar, *rest = scene()
    residual, ivar = residual.copy(), ivar.copy()
    residual[3, 140:150] = 5.0
    residual[5], ivar[5] = 1e6, 0.0
    ivar[:, 30:34] = 0.0
    found = separate(residual, ivar, *rest)
    assert found.untold[31:33].all() and np.isfinite(found.rest).all()
    assert not found.fixed()[135:155].any()


def test_detectors_are_apart():
    residual, ivar, wave, shift, nodes, _ = scene()
    segment = (np.arange(PIXELS) >= 150).astype(np.int64)
    found = separate(residual, ivar, wave, shift, nodes + 0.1 * segment, segment)
    with pytest.raises(ValueError, match="no star"):
        separate(residual[:0], ivar[:0], wave, shift[:0], nodes, segment)
    assert len(found.wavelength) == PIXELS


def test_a_spread_below_a_pixel_is_told_by_many_good_spectra():
    found = separate(*scene(stars=200, spread=0.6))
    assert not found.untold[60:240].any()
    assert found.observed[SKY] < -0.03 and np.abs(found.observed[LINE]) < 0.015
