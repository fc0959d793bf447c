"""One star in two surveys through the real encoding: latents and spectra are as far apart as their errors say."""

import copy

import numpy as np
import pytest
import torch

from synth2obs.analysis.bare import with_survey
from synth2obs.analysis.carried import carried_variance, moved, prediction_variance
from synth2obs.analysis.morphed_table import spectrum_table
from synth2obs.analysis.same_star import Pairs, same_star
from synth2obs.analysis.telescopes import morph_spectra
from synth2obs.analysis.twins import latent_difference
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.task import encode, evaluate_at

COUNT, NAMES = 96, ("near", "far")


@pytest.fixture(scope="module")
def twins(bridge, labels_of, stars_of):
    """The same stars as both telescopes deliver them, one of them noisier."""
    truth = labels_of(COUNT, seed=71, share=0.6)
    return {
        name: stars_of(name, bridge.predict(truth, name), snr=snr, seed=seed)
        for name, snr, seed in (("near", 60, 1), ("far", 200, 2))
    }


@pytest.fixture(scope="module")
def encoded(bridge, twins):
    return {name: encode(bridge, prepare(bridge, name, spectra)) for name, spectra in twins.items()}


@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids="-".join)
def test_latents_of_twins_have_a_width_of_one(bridge, encoded, names):
    found = latent_difference(bridge, names, *(encoded[name] for name in names))
    assert found["n"] == COUNT
    assert found["width"] == pytest.approx(1.0, abs=0.1) and found["width_all"] == pytest.approx(1.0, abs=0.1)


def test_other_stars_are_further_apart(bridge, encoded):
    shifted = encoded["far"].take(torch.arange(COUNT).roll(1))
    assert latent_difference(bridge, NAMES, encoded["near"], shifted)["width"] > 2.0


def test_a_noisy_source_is_forgiven_as_far_as_its_noise_goes(bridge, twins):
    known = copy.deepcopy(bridge.survey("far"))
    known.gap.factor.zero_()
    sure = with_survey(bridge, "far", known)
    found = same_star(sure, Pairs("near", twins["near"], "far", twins["far"]))
    assert found["chi2"] > 1.15
    assert found["chi2_with_source"] == pytest.approx(1.0, abs=0.1)
    assert found["chi2_own"] == pytest.approx(1.0, abs=0.1)
    assert found["described"]["n"] == COUNT
    assert found["described"]["chi2"] == pytest.approx(found["chi2"], rel=0.02)


def test_variance_is_the_scatter_of_predictions(bridge, twins, encoded):
    """Latents drawn from the source's covariance, seen by the other telescope."""
    source = encoded["near"].take(torch.arange(1))
    u, slope = moved(bridge.survey("far"), bridge.survey("near"), source.u)
    covariance = 1e-2 * slope @ source.covariance @ slope.mT
    variance = carried_variance(bridge, "far", source.rv, u, covariance)[0].numpy()
    factor = torch.linalg.cholesky(covariance[0])
    drawn = u + torch.randn(400, u.shape[1], generator=torch.Generator().manual_seed(3)).double() @ factor.T
    model = bridge.survey("far")
    flux = bridge.native.flux(model.value(bridge.decoder, drawn), "far", source.rv.expand(400))
    known = np.isfinite(flux).all(0) & (variance > 1e-3 * variance.max())
    assert np.median(flux.var(0)[known] / variance[known]) == pytest.approx(1.0, abs=0.1)


def test_what_continuum_and_velocity_take_up_is_no_error(bridge, twins, encoded):
    seen, source = prepare(bridge, "far", twins["far"]), encoded["near"]
    u, slope = moved(bridge.survey("far"), bridge.survey("near"), source.u)
    covariance, fit = slope @ source.covariance @ slope.mT, evaluate_at(bridge, seen, u)
    left, gap = prediction_variance(bridge, seen, fit, u, covariance)
    whole = carried_variance(bridge, "far", fit.rv, u, covariance)
    assert left.shape == gap.shape == whole.shape
    assert 0.2 < float(left.mean() / whole.mean()) < 1.0


def test_a_translated_spectrum_has_its_source_in_its_error(bridge, twins):
    some = twins["near"].take(np.arange(3))
    seen = morph_spectra(bridge, some, "near", "far")
    assert seen.source_error.shape == seen.flux.shape
    good = np.isfinite(seen.flux)
    assert (seen.source_error[good] >= 0).all() and seen.source_error[good].mean() > 1e-3
    assert np.isnan(seen.source_error[~good]).all()
    assert "source_error_2" in spectrum_table(seen).colnames
