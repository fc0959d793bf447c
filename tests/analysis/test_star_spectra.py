"""Spectra of test stars and the meaning of latents, as a report keeps them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.analysis.baselines import MORPH, THEORY
from synth2obs.analysis.evaluate import every_method
from synth2obs.analysis.latent_arrays import CELLS, latent_arrays
from synth2obs.analysis.latent_lines import latent_lines
from synth2obs.analysis.recovery import literature
from synth2obs.analysis.star_spectra import counted, free_fits, outside_labels, star_spectra, worst
from synth2obs.core.constants import FLUX_BAD, FLUX_UNIT
from synth2obs.models.fit.restframe import to_rest

STARS = 5


@pytest.fixture(scope="module")
def tested(bridge, labels_of, stars_of):
    """Stars of ``far`` at 60 km/s, the second of which has a feature that no model knows."""
    spectra = stars_of("far", bridge.predict(labels_of(STARS, seed=5, share=0.6), "far"), snr=200)
    flux = spectra.flux.copy()
    flux[1, 60:90] *= 0.8
    spectra = replace(spectra, flux=flux)
    methods = dict.fromkeys((THEORY, MORPH), bridge)
    return every_method(bridge, methods, "far", spectra, literature(bridge, spectra))


class TestCounted:
    def test_a_ten_thousandth_is_a_unit_and_what_is_not_known_is_marked(self):
        flux = torch.tensor([[1.00004, 0.5, 9.0, -9.0, torch.nan, 1.0]])
        ivar = torch.tensor([[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]])
        found = counted(flux, ivar)
        assert found.dtype == np.int16
        assert found.tolist() == [[10000, 5000, 32767, -32767, FLUX_BAD, FLUX_BAD]]

    def test_the_worst_are_kept_in_their_own_order(self):
        chi2 = torch.tensor([1.0, 5.0, 2.0, 5.0, 3.0])
        assert worst(chi2, 3).tolist() == [1, 3, 4] and worst(chi2, 9).tolist() == [0, 1, 2, 3, 4]


class TestSpectra:
    def test_observed_minus_model_is_the_residual_of_its_own_fit(self, tested, bridge):
        arrays, grid = star_spectra(tested), bridge.decoder.rest_wavelength
        assert arrays["spectra_star"].tolist() == list(range(STARS))
        for method in (THEORY, MORPH):
            good = (arrays["spectra_observed"] != FLUX_BAD) & (arrays[f"spectra_{method}"] != FLUX_BAD)
            left = arrays["spectra_observed"].astype(int) - arrays[f"spectra_{method}"]
            residual = tested.trials[method].free.residual
            expected, _ = to_rest(tested.seen, tested.trials[MORPH].free, grid, residual)
            assert good.mean() > 0.5
            assert np.abs(FLUX_UNIT * left - expected.numpy())[good].max() < 1.1 * FLUX_UNIT

    def test_of_more_stars_those_that_fit_worst_are_kept(self, tested):
        arrays = star_spectra(tested, 1)
        assert (
            arrays["spectra_star"].tolist() == [int(np.argmax(free_fits(tested)["chi2_free_morph"]))] == [1]
        )
        assert arrays["spectra_morph"].shape[0] == 1

    def test_labels_outside_the_grid_have_names(self, tested, bridge):
        assert outside_labels(tested).shape == (STARS,)
        fit = tested.trials[MORPH].free
        far = replace(fit, theta=bridge.scale(torch.as_tensor(bridge.labels.upper + 1.0)).expand(STARS, -1))
        moved = replace(tested, trials={**tested.trials, MORPH: replace(tested.trials[MORPH], free=far)})
        assert set(outside_labels(moved)) == {"teff, logg, fe_h, vmic, mg_fe"}

    def test_all_pixels_of_a_star_count(self, tested):
        good = free_fits(tested)["good_pixels"]
        assert ((good > 0.5) & (good <= 1.0)).all()


class TestLatents:
    def test_responses_keep_their_extremes_at_coarse_sampling(self, bridge):
        found = latent_lines(bridge)
        long = replace(
            found,
            wavelength=np.arange(4.0 * CELLS),
            response=np.random.default_rng(0).normal(size=(2, 4 * CELLS)),
        )
        arrays = latent_arrays(long)
        assert arrays["latent_response"].shape == (2, CELLS) and arrays["latent_wavelength"][0] == 1.5
        for row, coarse in zip(long.response, arrays["latent_response"], strict=True):
            np.testing.assert_allclose(np.abs(coarse), np.abs(row.reshape(-1, 4)).max(1), rtol=1e-6)

    def test_short_ones_are_kept_whole_and_lines_are_padded(self, bridge):
        found = latent_lines(bridge)
        fewer = replace(found, lines=(found.lines[0][:1], *found.lines[1:]))
        arrays = latent_arrays(fewer)
        np.testing.assert_array_equal(arrays["latent_wavelength"], found.wavelength)
        assert arrays["latent_line_name"].shape == arrays["latent_line_wavelength"].shape
        assert np.isnan(arrays["latent_line_change"][0, 1:]).all() and arrays["latent_line_name"][0, 1] == ""
        assert arrays["latent_line_wavelength"][0, 0] == found.lines[0][0].wavelength
