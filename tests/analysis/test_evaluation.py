"""Numbers of an evaluation: literature that is held, labels that are free, two telescopes, and a placebo."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.compared import recovery
from synth2obs.analysis.placebo import placebo
from synth2obs.analysis.recovery import anchored, literature
from synth2obs.analysis.same_star import Pairs, same_star
from synth2obs.analysis.survey_gap import element_gradients, survey_gap
from synth2obs.models.fit.observation import prepare

COUNT = 16


@pytest.fixture(scope="module")
def truth(labels_of):
    return labels_of(COUNT, seed=51, share=0.6)


@pytest.fixture(scope="module")
def stars(bridge, truth, stars_of):
    """Stars of ``far`` with literature labels that are right."""
    spectra = stars_of("far", bridge.predict(truth, "far"), snr=300)
    names = ("teff", "logg", "fe_h")
    return replace(spectra, labels=dict(zip(names, truth.T[:3].copy(), strict=True)))


class TestLiterature:
    def test_stars_without_labels_or_outside_the_grid_are_not_used(self, bridge, stars):
        labels = {name: column.copy() for name, column in stars.labels.items()}
        labels["teff"][0], labels["fe_h"][1] = 9000.0, np.nan
        known = literature(bridge, replace(stars, labels=labels))
        assert not known.usable[:2].any() and known.usable[2:].all()

    def test_no_labels_at_all(self, bridge, stars):
        known = literature(bridge, replace(stars, labels={}))
        assert not known.usable.any() and np.isnan(known.table).all()

    def test_bias_and_scatter_are_robust(self, bridge, stars):
        known = literature(bridge, stars)
        fitted = known.table + np.array([50.0, 0.1, -0.02])
        fitted[0] += 1e4
        found = recovery(fitted, known)
        assert found["teff"]["bias"] == pytest.approx(50.0) and found["teff"]["scatter"] < 1e-6
        assert found["teff"]["bias_error"] < 1e-6 and "scatter_error" in found["teff"]
        assert found["logg"]["bias"] == pytest.approx(0.1) and found["fe_h"]["n"] == COUNT

    def test_anchored_labels_do_not_move(self, bridge, stars):
        seen, known = prepare(bridge, "far", stars), literature(bridge, stars)
        fit = anchored(bridge, seen, known, seen.rv)
        labels = bridge.scale.inverse(fit.theta).numpy()
        np.testing.assert_allclose(labels[:, :3], known.table, rtol=1e-9)
        assert not fit.covariance[:, :3].any()
        assert np.abs(labels[:, 3:] - bridge.labels.default[3:]).max() > 1e-3


class TestSurveyGap:
    def test_the_difference_is_what_the_survey_sees_minus_theory(self, bridge):
        labels = bridge.labels.default[None]
        arrays = survey_gap(bridge, "far", labels)
        native = bridge.predict(labels, "far")[0] - bridge.predict(labels, "far", morphed=False)[0]
        wavelength, rest = bridge.survey("far").wavelength.numpy(), bridge.decoder.rest_wavelength.numpy()
        covered, known = np.isfinite(native), np.isfinite(arrays["gap_mean"])
        back = np.interp(wavelength[covered], rest[known], arrays["difference_mean"][known])
        assert np.abs(back - native[covered]).max() < 0.5 * np.abs(native[covered]).max()
        assert (arrays["gap_error"][known] > 0).all()
        assert arrays["gap_slopes"].shape == (3, len(rest)) and len(arrays["gap_slope_names"]) == 3

    def test_it_is_the_gap_of_the_model_alone(self, bridge):
        labels = bridge.labels.default[None]
        arrays, model = survey_gap(bridge, "far", labels), bridge.survey("far")
        features = bridge.gap_features("far", bridge.scale(torch.as_tensor(labels))).float()
        known = np.isfinite(arrays["gap_mean"])
        np.testing.assert_array_equal(arrays["gap_mean"][known], model.gap(features)[0].numpy()[known])
        assert np.nanstd(arrays["gap_mean"] - arrays["difference_mean"]) > 1e-4

    def test_an_untouched_survey_has_none(self, bridge):
        found = survey_gap(bridge, "near", bridge.labels.default[None])["gap_mean"]
        assert not found[np.isfinite(found)].any() and np.isfinite(found).any()

    def test_beyond_the_pixels_nothing_is_known(self, bridge):
        found = survey_gap(bridge, "far", bridge.labels.default[None])
        rest = bridge.decoder.rest_wavelength.numpy()
        assert np.isnan(found["gap_mean"][(rest < 5049) | (rest > 5350)]).all()

    def test_elements_are_those_of_the_grid_and_no_others(self, bridge):
        found = element_gradients(bridge, "near", bridge.labels.default[None])
        assert found.keys() == {"Mg", "Fe"}
        labels = np.repeat(bridge.labels.default[None], 2, axis=0)
        labels[:, bridge.labels.index("mg_fe")] += [-0.02, 0.02]
        low, high = np.nan_to_num(bridge.predict(labels, "near", morphed=False))
        rest, native = bridge.decoder.rest_wavelength.numpy(), bridge.survey("near").wavelength.numpy()
        expected = np.interp(rest, native, (high - low) / 0.04)
        assert np.abs(found["Mg"] - expected).max() < 0.1 * np.abs(expected).max()

    def test_iron_changes_alone(self, bridge):
        """[X/Fe] of all others fall as [Fe/H] rises, so that their [X/H] stay."""
        found = element_gradients(bridge, "near", bridge.labels.default[None])
        labels = np.repeat(bridge.labels.default[None], 2, axis=0)
        labels[:, bridge.labels.index("fe_h")] += [-0.02, 0.02]
        labels[:, bridge.labels.index("mg_fe")] -= [-0.02, 0.02]
        low, high = np.nan_to_num(bridge.predict(labels, "near", morphed=False))
        rest, native = bridge.decoder.rest_wavelength.numpy(), bridge.survey("near").wavelength.numpy()
        expected = np.interp(rest, native, (high - low) / 0.04)
        assert np.abs(found["Fe"] - expected).max() < 0.1 * np.abs(expected).max()


class TestSameStar:
    def test_one_telescope_predicts_the_other(self, bridge, truth, stars_of):
        pairs = Pairs(
            "near",
            stars_of("near", bridge.predict(truth, "near"), snr=300, seed=1),
            "far",
            stars_of("far", bridge.predict(truth, "far"), snr=300, seed=2),
        )
        found = same_star(bridge, pairs)
        assert found["with"] == "near" and found["n"] == COUNT
        assert found["rms"] < 1.5 * found["noise_rms"] and found["noise_rms"] > 0.9 / 300
        assert abs(found["label_difference"]["teff"]["bias"]) < 60
        assert found["label_difference_theory"] != found["label_difference"]

    def test_without_the_morph_it_does_not(self, bridge, truth, stars_of):
        pairs = Pairs(
            "near",
            stars_of("near", bridge.predict(truth, "near"), snr=300, seed=1),
            "far",
            stars_of("far", bridge.predict(truth, "far"), snr=300, seed=2),
        )
        blind = with_survey(bridge, "far", bare(bridge.survey("far"), "linear"))
        assert same_star(blind, pairs)["rms"] > 1.3 * same_star(bridge, pairs)["rms"]

    def test_other_stars_are_not_predicted(self, bridge, truth, stars_of):
        pairs = Pairs(
            "near",
            stars_of("near", bridge.predict(truth, "near"), snr=300),
            "far",
            stars_of("far", bridge.predict(truth[::-1].copy(), "far"), snr=300),
        )
        found = same_star(bridge, pairs)
        assert found["rms"] > 5 * found["noise_rms"]


@pytest.fixture(scope="module")
def nothing(bridge, labels_of):
    """The placebo, which leaves the bridge as it was."""
    labels = labels_of(45, seed=61, share=0.9)
    before = {key: value.clone() for key, value in bridge.state_dict().items()}
    result = placebo(bridge, "near", bridge.rest_flux(labels), labels)
    after = bridge.state_dict()
    assert all(torch.equal(after[key].nan_to_num(), before[key].nan_to_num()) for key in before)
    return result


class TestPlacebo:
    def test_where_there_is_no_gap_none_is_found(self, nothing):
        assert nothing["gap_rms"] < 2e-3 and nothing["gap_rms"] < 5 * nothing["gap_rms_error"]
        assert nothing["n"] == 30

    def test_labels_and_morph_stay(self, nothing):
        assert abs(nothing["label_bias"]["teff"]) < 60 and abs(nothing["label_bias"]["fe_h"]) < 0.1
        assert 0 < nothing["morph_shift"] < 0.3
        assert nothing["morph_shift_error"] > 0

    def test_it_is_drawn_alike_every_time(self, bridge, labels_of):
        labels = labels_of(12, seed=61, share=0.9)
        torch.manual_seed(1)
        first, second = (placebo(bridge, "near", bridge.rest_flux(labels), labels, seed=3) for _ in range(2))
        assert first == second

    def test_a_gap_that_is_there_is_found(self, bridge, labels_of, nothing):
        """The same measurement is not blind: with lines that theory lacks it finds them."""
        labels = labels_of(45, seed=61, share=0.9)
        flux = bridge.rest_flux(labels)
        rest = bridge.decoder.rest_wavelength
        flux = flux - 0.05 * torch.exp(-0.5 * ((rest - 5171) / 2.5) ** 2).float()
        assert placebo(bridge, "near", flux, labels)["gap_rms"] > 2 * nothing["gap_rms"]
