import numpy as np
import pytest

from synth2obs.io.noise import FLOOR, describe, estimate_ivar

PIXELS = 3000


def star(seed=0, width=1.27):
    """A spectrum with 300 lines of three pixels FWHM on a sloping continuum."""
    random = np.random.default_rng(seed)
    x = np.arange(PIXELS)
    flux = np.ones(PIXELS)
    for centre, depth in zip(random.uniform(0, PIXELS, 300), random.exponential(0.08, 300), strict=True):
        flux *= 1 - min(depth, 0.8) * np.exp(-0.5 * ((x - centre) / width) ** 2)
    return flux * (1 + 0.5 * x / PIXELS)


@pytest.mark.parametrize("sigma", [0.01, 0.03, 0.1])
def test_white_noise_is_recovered_under_lines(sigma):
    noise = np.random.default_rng(1).normal(0, sigma, (8, PIXELS))
    ivar, _ = estimate_ivar(star() + noise)
    found = ivar**-0.5
    assert np.median(found) == pytest.approx(sigma, rel=0.06)
    assert np.percentile(np.abs(found / sigma - 1), 90) < 0.3


def test_noise_that_varies_is_followed():
    sigma = np.linspace(0.01, 0.05, PIXELS)
    flux = star() + sigma * np.random.default_rng(2).normal(size=(16, PIXELS))
    found = np.median(estimate_ivar(flux)[0] ** -0.5, axis=0)
    np.testing.assert_allclose(found[200:-200], sigma[200:-200], rtol=0.2)


def test_noiseless_star_gets_the_floor():
    flux = star()[None]
    ivar, _ = estimate_ivar(flux)
    continuum = 1 + 0.5 * np.arange(PIXELS) / PIXELS
    relative = ivar[0] ** -0.5 / continuum
    assert np.median(relative) == pytest.approx(FLOOR, rel=0.05)


def test_scales_with_the_flux():
    flux = star() + np.random.default_rng(3).normal(0, 0.02, (2, PIXELS))
    np.testing.assert_allclose(estimate_ivar(1e-12 * flux)[0] * 1e-24, estimate_ivar(flux)[0], rtol=1e-9)


def test_bad_pixels_have_no_weight_and_no_influence():
    clean = star() + np.random.default_rng(4).normal(0, 0.02, (1, PIXELS))
    spoiled = clean.copy()
    bad = np.array([50, 700, 701, 702, 2999])
    spoiled[0, bad] = [np.nan, -1.0, 0.0, np.inf, np.nan]
    ivar = estimate_ivar(spoiled)[0]
    assert (ivar[0, bad] == 0).all()
    assert np.isfinite(ivar).all()
    good = np.delete(np.arange(PIXELS), bad)
    np.testing.assert_allclose(ivar[0, good], estimate_ivar(clean)[0][0, good], rtol=0.15)


def test_star_without_a_good_pixel():
    flux = np.stack([np.zeros(PIXELS), star()])
    ivar = estimate_ivar(flux)[0]
    assert (ivar[0] == 0).all() and (ivar[1] > 0).all()


def test_missing_arm():
    flux = star()[None] + np.random.default_rng(5).normal(0, 0.02, (1, PIXELS))
    flux[:, 1500:] = 0.0
    ivar = estimate_ivar(flux)[0]
    assert (ivar[:, 1500:] == 0).all() and (ivar[:, :1500] > 0).all()


def test_description_names_its_numbers():
    _, text = estimate_ivar(star()[None], window=200, floor=0.005)
    assert text == describe(200, 0.005) and "200 px" in text and "0.005" in text


@pytest.mark.parametrize("options", [{"window": 10}, {"window": PIXELS}, {"floor": 0.0}, {"floor": np.nan}])
def test_refuses_windows_and_floors_that_make_no_sense(options):
    with pytest.raises(ValueError, match="window"):
        estimate_ivar(star()[None], **options)
