import numpy as np
import pytest
import torch

from synth2obs.analysis.flags import FAR, FLAGS
from synth2obs.analysis.labels import labels_of, latents_of
from synth2obs.analysis.morph_labels import morph_labels

COUNT = 12


@pytest.fixture(scope="module")
def truth(labels_of):
    return labels_of(COUNT, seed=11, share=0.7)


@pytest.fixture(scope="module")
def clean(bridge, truth, by_name):
    """What ``far``, which has a morph and a gap, sees of these stars."""
    return morph_labels(bridge, by_name(truth), "far", np.linspace(-20, 20, COUNT)).flux


@pytest.fixture(scope="module")
def fitted(bridge, clean, stars_of):
    return labels_of_stars(bridge, clean, stars_of, snr=300)


def labels_of_stars(bridge, flux, stars_of, **noise):
    return labels_of(bridge, stars_of("far", flux, **noise), "far", population=False)


def table(found):
    return np.stack(list(found.values.values()), axis=1), np.stack(list(found.errors.values()), axis=1)


def test_labels_come_back_within_their_errors(fitted, truth, bridge):
    values, errors = table(fitted)
    assert tuple(fitted.values) == tuple(fitted.errors) == bridge.labels.names
    deviation = (values - truth) / errors
    # 60 deviations: their rms lies within 0.6 to 1.5 of 1 unless errors are wrong by half.
    assert 0.6 < np.sqrt(np.mean(deviation**2)) < 1.5
    assert np.median(errors[:, 0]) < 100 and np.median(errors[:, 1]) < 0.5


def test_errors_grow_with_the_noise(bridge, clean, stars_of, fitted):
    noisy = labels_of_stars(bridge, clean, stars_of, snr=60)
    ratio = np.median(table(noisy)[1] / table(fitted)[1], axis=0)
    # Priors and the emulator's error keep these from growing as fast as the noise, a factor of 5.
    assert (ratio > 1.2).all() and (ratio < 8).all() and ratio[0] > 2


def test_velocities_come_back(fitted):
    difference = fitted.rv - np.linspace(-20, 20, COUNT)
    assert np.abs(difference / fitted.rv_error).max() < 4
    assert (fitted.rv_error < 5).all()


def test_a_good_fit_has_no_flag(fitted):
    assert (fitted.flags == 0).all()
    assert 0.7 < np.median(fitted.chi2 / fitted.pixels) < 1.3


def test_labels_unlike_any_spectrum_of_the_grid_are_flagged(bridge, clean, stars_of):
    unit = bridge.distance.unit.clone()
    bridge.distance.unit.fill_(1e-6)
    found = labels_of_stars(bridge, clean[:2], stars_of, snr=300)
    bridge.distance.unit.copy_(unit)
    assert (found.flags & FAR == FAR).all()


def test_batch_is_single(bridge, clean, stars_of):
    spectra = stars_of("far", clean, snr=300)
    together = labels_of(bridge, spectra, "far", population=False)
    alone = labels_of(bridge, spectra.take(np.array([5])), "far", population=False)
    for name, value in alone.values.items():
        assert abs(together.values[name][5] - value[0]) < 0.02 * alone.errors[name][0], name


def test_a_star_beyond_the_grid_is_flagged(bridge, by_name, truth, stars_of):
    table = truth[:2].copy()
    table[:, 0] = 5500.0, 6650.0
    flux = morph_labels(bridge, by_name(table), "far").flux
    flags = labels_of_stars(bridge, flux, stars_of, snr=3000).flags
    assert FLAGS[1] == "label outside the grid"
    assert list(flags & 1) == [0, 1]


def test_a_star_that_is_not_in_theory_is_flagged(bridge, clean, stars_of):
    flux = clean[:3].copy()
    flux[1, 40:180:9] *= 0.7
    flux[2, 20:] = np.nan
    found = labels_of_stars(bridge, flux, stars_of, snr=300)
    assert [int(flags) & 6 for flags in found.flags] == [0, 2, 4]
    assert found.pixels[2] <= 20 < found.pixels[1]


def test_no_pixel_leaves_labels_to_the_prior(bridge, clean, stars_of):
    spectra = stars_of("far", clean[:2])
    spectra.ivar[1] = 0.0
    found = labels_of(bridge, spectra, "far", population=False)
    assert found.pixels[1] == 0 and found.flags[1] & 4
    assert all(np.isfinite(column).all() for column in found.values.values())


def test_latents_are_the_morph_of_theorys(bridge, truth, by_name, clean, stars_of):
    found = latents_of(bridge, stars_of("far", clean), "far")
    theory = morph_labels(bridge, by_name(truth), "far").latent
    back = bridge.survey("far").morph.inverse(torch.as_tensor(found.mean))[0].numpy()
    np.testing.assert_allclose(back, theory, atol=0.05)
    assert list(found.id) == [f"star-{row}" for row in range(COUNT)]


def test_latent_covariance_is_one_and_shrinks_with_the_noise(bridge, clean, stars_of):
    sharp, dull = (latents_of(bridge, stars_of("far", clean, snr=snr), "far") for snr in (300, 30))
    for found in (sharp, dull):
        assert np.linalg.eigvalsh(found.covariance).min() > 0
        np.testing.assert_allclose(found.covariance, found.covariance.transpose(0, 2, 1), atol=1e-9)
    volume = [np.linalg.slogdet(found.covariance)[1] for found in (sharp, dull)]
    assert (volume[0] < volume[1]).all()
    assert (sharp.rv_error < dull.rv_error).all()
