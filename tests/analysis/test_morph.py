import dataclasses

import numpy as np
import pytest
import torch

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.flags import OUTSIDE
from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.morph_labels import morph_labels
from synth2obs.analysis.telescopes import morph_spectra
from synth2obs.core.errors import DataError, ModelError
from synth2obs.core.labels import STELLAR
from synth2obs.core.trends import usual

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}


def rows(result: Morphed, chosen: slice) -> Morphed:
    changes = {
        field.name: getattr(result, field.name)[chosen]
        for field in dataclasses.fields(result)
        if field.name not in ("survey", "wavelength", "emulator_variance", "source_variance", "labels")
    }
    changes["labels"] = {name: values[chosen] for name, values in result.labels.items()}
    return dataclasses.replace(
        result, **changes, emulator_variance=lambda: result.emulator_variance()[chosen]
    )


@pytest.mark.parametrize("survey", ["near", "far"])
def test_a_batch_is_its_stars_one_by_one(bridge, labels_of, by_name, same, survey):
    table, rv = labels_of(5, seed=3), np.array([-80.0, 0.0, 20.0, 55.0, 120.0])
    together = morph_labels(bridge, by_name(table), survey, rv)
    for star in range(5):
        alone = morph_labels(bridge, by_name(table[star : star + 1]), survey, rv[star])
        same(rows(together, slice(star, star + 1)), alone, atol=2e-6)


def test_order_of_stars_does_not_matter(bridge, labels_of, by_name, same):
    table = labels_of(70, seed=4)
    forward = morph_labels(bridge, by_name(table), "far")
    backward = morph_labels(bridge, by_name(table[::-1]), "far")
    same(rows(forward, slice(None, None, -1)), backward, atol=2e-6)


def test_it_agrees_with_what_the_bridge_predicts(bridge, labels_of, by_name):
    table = labels_of(4, seed=5)
    result = morph_labels(bridge, by_name(table), "far", 30.0)
    np.testing.assert_allclose(result.flux, bridge.predict(table, "far", 30.0), atol=2e-6)
    np.testing.assert_allclose(
        result.flux_theory, bridge.predict(table, "far", 30.0, morphed=False), atol=2e-6
    )


def test_an_untrained_survey_has_no_gap_and_a_trained_one_has(bridge):
    assert np.nanmax(np.abs(morph_labels(bridge, SUN, "near").gap)) < 1e-6
    far = morph_labels(bridge, SUN, "far")
    np.testing.assert_array_equal(far.difference, far.flux - far.flux_theory)
    assert np.nanstd(far.gap) > 1e-3


def test_the_gap_has_an_error_wherever_there_is_flux(bridge):
    far = morph_labels(bridge, SUN, "far", 3.0)
    assert (np.isfinite(far.gap_error) == np.isfinite(far.flux)).all()
    assert np.nanmin(far.gap_error) >= 0


def test_the_emulators_error_is_computed_when_asked_for_and_once(bridge, monkeypatch):
    asked, compute = [], bridge.emulator_variance

    def counted(*arguments):
        asked.append(arguments)
        return compute(*arguments)

    monkeypatch.setattr(bridge, "emulator_variance", counted)
    far = morph_labels(bridge, {"teff": [5000, 6000]}, "far", 3.0)
    assert not asked
    error = far.emulator_error
    assert far.emulator_error is error and len(asked) == 1
    assert error.shape == far.flux.shape and error.dtype == np.float32 and np.nanmin(error) > 0
    np.testing.assert_array_equal(np.isfinite(error), np.isfinite(far.flux))
    np.testing.assert_array_equal(error, np.where(np.isfinite(far.flux), compute(*asked[0]).sqrt(), np.nan))


def test_without_labels_the_emulators_error_is_the_decoders(bridge, labels_of, by_name, stars_of):
    flux = morph_labels(bridge, by_name(labels_of(2, seed=9, share=0.7)), "far", 18.0).flux
    found = morph_spectra(bridge, stars_of("far", flux), "far", "near", rv=0.0)
    rest = bridge.theory_error.remainder.expand(2, -1)
    decoders = (
        bridge.instrument("near")(rest, torch.zeros(2, dtype=torch.float64), 0.0).detach().clamp(min=0).sqrt()
    )
    np.testing.assert_array_equal(found.emulator_error, np.where(np.isfinite(found.flux), decoders, np.nan))


def test_labels_left_out_follow_the_three_that_matter(bridge, same):
    given = dict(zip(bridge.labels.names, bridge.labels.default, strict=True)) | SUN
    star = [np.array([SUN[name]]) for name in STELLAR]
    full = {name: given[name] if name in SUN else usual(name, *star)[0] for name in bridge.labels.names}
    found = morph_labels(bridge, SUN, "far")
    same(found, morph_labels(bridge, full, "far"), atol=0)
    assert {name: values.item() for name, values in found.labels.items()} == pytest.approx(full)


def test_a_scalar_label_holds_for_every_star(bridge, same):
    one = morph_labels(bridge, {"teff": [5000, 6000], "logg": 4.0}, "far")
    other = morph_labels(bridge, {"teff": [5000, 6000], "logg": [4.0, 4.0]}, "far")
    same(one, other, atol=0)


def test_labels_outside_the_grid_are_answered_and_flagged(bridge):
    result = morph_labels(bridge, {"teff": [5500, 7200, 5500], "fe_h": [0, 0.9, -1.6]}, "near")
    assert list(result.flags & OUTSIDE) == [0, OUTSIDE, OUTSIDE]
    assert result.outside == ((), ("teff", "fe_h"), ("fe_h",))
    assert np.isfinite(result.flux).any(axis=1).all()


@pytest.mark.parametrize(
    "labels, rv, error, words",
    [
        ({"tef": 5777}, 0.0, DataError, ["labels", "'tef'", "teff, logg"]),
        ({"teff": np.nan}, 0.0, DataError, ["labels", "'teff' in K", "finite"]),
        ({"teff": [5000, 6000], "logg": [1, 2, 3]}, 0.0, DataError, ["labels", "teff", "2", "3"]),
        (SUN, np.inf, DataError, ["rv in km/s", "inf", "use 0"]),
        (SUN, [1.0, 2.0], DataError, ["rv", "(2,)", "1 star"]),
    ],
)
def test_what_is_wrong_is_named(bridge, labels, rv, error, words):
    with pytest.raises(error) as caught:
        morph_labels(bridge, labels, "near", rv)
    assert all(word in str(caught.value) for word in words), caught.value


def test_an_unknown_survey_is_named_with_those_that_are_known(bridge):
    with pytest.raises(ModelError, match="'mine'.*near, far"):
        morph_labels(bridge, SUN, "mine")


@pytest.mark.parametrize("source", ["near", "far"])
@pytest.mark.parametrize("survey", ["near", "far"])
def test_a_spectrum_without_noise_becomes_what_the_other_telescope_sees(
    bridge, labels_of, by_name, stars_of, source, survey
):
    labels, rv = by_name(labels_of(6, seed=6, share=0.7)), np.linspace(-25, 25, 6)
    spectra = stars_of(source, morph_labels(bridge, labels, source, rv).flux)
    truth = morph_labels(bridge, labels, survey, rv)
    result = morph_spectra(bridge, spectra, source, survey)
    assert np.nanmax(np.abs(result.flux - truth.flux)) < 2e-3
    np.testing.assert_allclose(result.latent, truth.latent, atol=0.05)


def test_a_spectrum_can_be_moved_to_another_velocity(bridge, labels_of, by_name, stars_of):
    labels = by_name(labels_of(3, seed=7, share=0.7))
    spectra = stars_of("far", morph_labels(bridge, labels, "far", 18.0).flux)
    result = morph_spectra(bridge, spectra, "far", "near", rv=0.0)
    assert np.nanmax(np.abs(result.flux - morph_labels(bridge, labels, "near").flux)) < 2e-3


def test_a_spectrum_that_theory_does_not_fit_is_flagged(bridge, labels_of, by_name, stars_of):
    flux = morph_labels(bridge, by_name(labels_of(3, seed=8, share=0.7)), "near").flux
    flux[1, 40:260:9] *= 0.7
    flux[2, 20:] = np.nan
    result = morph_spectra(bridge, stars_of("near", flux, snr=300), "near", "far")
    assert [int(flags) for flags in result.flags] == [0, 2, 4]


def test_without_a_morph_the_gap_is_the_whole_difference(bridge):
    model = bare(bridge.survey("far"))
    model.gap.load_state_dict(bridge.survey("far").gap.state_dict())
    found = morph_labels(with_survey(bridge, "far", model), SUN, "far", 25.0)
    assert np.nanstd(found.gap) > 1e-3
    np.testing.assert_allclose(found.gap, found.difference, rtol=0, atol=1e-5)
