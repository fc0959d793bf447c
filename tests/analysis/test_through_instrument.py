"""What an instrument would see that no survey of the bridge has."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.core.errors import DataError, ModelError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.instruments.described import InstrumentDescription
from synth2obs.io.instruments.named import named, names

STARS = {"teff": [5000.0, 5777.0, 6300.0], "logg": [2.5, 4.44, 4.1], "fe_h": [-0.5, 0.0, 0.2]}
RV = np.array([-40.0, 0.0, 60.0])
REACH = 5000.0, 5400.0


def on(wavelength, sigma, segment=0, name="mine"):
    """An instrument of these pixels, σ in Å."""
    wavelength = np.asarray(wavelength, float)
    spread = LineSpread.gaussian(np.broadcast_to(sigma, wavelength.shape))
    power = wavelength / (2.3548 * spread.sigma[0])
    rows = np.broadcast_to(segment, wavelength.shape).astype(np.int64)
    return InstrumentDescription(name, "", wavelength, rows, spread, power, "vacuum", "made up")


def like(bridge, survey, wider=1.0):
    """An instrument with the pixels of a survey, and its line spread by a factor."""
    model = bridge.survey(survey)
    return on(model.wavelength.numpy(), wider * model.lsf_sigma.numpy(), model.segment.numpy())


@pytest.mark.parametrize("vsini", [0.0, 40.0])
def test_with_a_surveys_pixels_and_width_it_is_the_survey(bridge, vsini):
    expected = synth2obs.morph(bridge, labels=STARS, survey="far", rv=RV, vsini=vsini)
    found = synth2obs.morph(
        bridge, labels=STARS, survey="far", instrument=like(bridge, "far"), rv=RV, vsini=vsini
    )
    alone = synth2obs.morph(bridge, labels=STARS, instrument=like(bridge, "far"), rv=RV, vsini=vsini)
    np.testing.assert_allclose(found.flux_theory, expected.flux_theory, atol=3e-6)
    np.testing.assert_array_equal(alone.flux_theory, found.flux_theory)
    known = np.isfinite(found.flux)
    assert known[:, 5:-5].all()
    for name in ("flux", "gap", "gap_error"):
        np.testing.assert_allclose(getattr(found, name)[known], getattr(expected, name)[known], atol=3e-6)


def test_theory_alone_says_so_and_has_no_gap(bridge):
    found = synth2obs.morph(bridge, labels=STARS, instrument=like(bridge, "near"))
    np.testing.assert_array_equal(found.flux, found.flux_theory)
    assert found.survey == "" and found.instrument == "mine"
    assert np.isnan(found.gap).all() and np.isnan(found.gap_error).all()
    assert "as mine would see them, theory alone, no morph and no gap" in repr(found) and "nan" not in repr(
        found
    )
    assert np.isfinite(found.to_specutils()[0].uncertainty.array).all()
    assert found.to_specutils()[0].meta["instrument"] == "mine"
    assert found.plot().axes


def test_a_gap_is_blurred_by_what_the_instrument_adds(bridge):
    """Twice the survey's width: the gap passes √3 of it, which its own instrument at that σ says as well."""
    model, wider = bridge.survey("far"), like(bridge, "far", 2.0)
    own = synth2obs.morph(bridge, labels=STARS, survey="far")
    found = synth2obs.morph(bridge, labels=STARS, survey="far", instrument=wider)
    features = model.gap.features(model.morph(bridge.theory_latents("far", _scaled(bridge, own)))[0]).float()
    added = like(bridge, "far", np.sqrt(3.0)).line_spread
    seer = bridge.native.on_pixels(
        model.wavelength, model.segment, added, 1e-9 * bridge.decoder.rest_wavelength
    )
    expected = seer(model.gap(features), torch.zeros(3, dtype=torch.float64)).numpy()
    inside = np.isfinite(found.gap)
    assert inside.mean() > 0.9
    np.testing.assert_allclose(found.gap[inside], expected[inside], atol=1e-5)
    assert np.nanstd(found.gap) < np.nanstd(own.gap)


def _scaled(bridge, found):
    table = np.stack([found.labels[name] for name in bridge.labels.names], axis=1)
    return bridge.scale(torch.from_numpy(table))


def test_the_gap_ends_where_the_survey_does_in_the_stars_rest_frame(bridge):
    found = synth2obs.morph(
        bridge, labels=STARS, survey="far", instrument=on(np.arange(4990, 5410, 1.2), 3.0), rv=[-300, 0, 300]
    )
    first = [found.wavelength[np.isfinite(row)][0] for row in found.flux]
    np.testing.assert_allclose(first, 5050 * (1 + np.array([-300, 0, 300]) / 299792.458), atol=1.3)
    assert (np.isfinite(found.flux_theory).sum(1) > np.isfinite(found.flux).sum(1)).all()
    np.testing.assert_array_equal(np.isfinite(found.gap_error), np.isfinite(found.flux))


def test_pixels_as_sharp_as_theory_have_flux_and_sharper_ones_none(bridge):
    """σ of the test's theory is one part in 5200 of λ; red of 5200 Å the instrument is sharper."""
    wavelength = np.arange(5010, 5390, 0.5)
    sigma = np.where(wavelength < 5200, 2.0, 0.5)
    found = synth2obs.morph(bridge, labels=STARS, instrument=on(wavelength, sigma))
    seen = np.isfinite(found.flux).all(0)
    assert seen[(wavelength > 5030) & (wavelength < 5200)].all() and not seen[wavelength >= 5200].any()
    whole = synth2obs.morph(bridge, labels=STARS, instrument=on(wavelength, 2.0))
    np.testing.assert_allclose(found.flux[:, seen], whole.flux[:, seen], atol=1e-6)


@pytest.mark.parametrize("name", names())
def test_every_instrument_sees_theory_that_it_reaches_and_that_is_sharp_enough(sharp, name):
    described = named(name)
    inside = (described.wavelength > REACH[0]) & (described.wavelength < REACH[1])
    if not inside.any():
        with pytest.raises(DataError, match=f"{name} covers .* theory 5000–5400 Å"):
            synth2obs.morph(sharp, labels=STARS, instrument=name)
        return
    found = synth2obs.morph(sharp, labels=STARS, instrument=name, rv=RV)
    assert found.flux.shape == (3, len(described.wavelength))
    np.testing.assert_array_equal(found.wavelength, described.wavelength)
    within = (described.wavelength > REACH[0] + 20) & (described.wavelength < REACH[1] - 20)
    beyond = (described.wavelength < REACH[0] - 2) | (described.wavelength > REACH[1] + 2)
    assert np.isfinite(found.flux[:, within]).all() and not np.isfinite(found.flux[:, beyond]).any()
    # A mean over neighbours lies between them.
    rest, good = sharp.decoder(torch.from_numpy(found.latent).float()).numpy(), found.flux[:, within]
    assert rest.min() - 1e-3 <= good.min() and good.max() <= rest.max() + 1e-3 and good.std() > 1e-3


def test_more_blurred_instruments_see_the_same_equivalent_width(sharp):
    """The mean depth over a long stretch does not depend on the resolving power."""
    means = []
    for name in ("gaia_eso_uves580", "4most_lrs", "desi"):
        found = synth2obs.morph(sharp, labels=STARS, instrument=name)
        inside = (found.wavelength > 5040) & (found.wavelength < 5235)
        assert inside.sum() > 100
        means.append(1 - found.flux[:, inside].mean(1))
    np.testing.assert_allclose(means[1:], np.broadcast_to(means[0], (2, 3)), rtol=0.01)


@pytest.mark.parametrize(
    "given, words",
    [
        (
            {"instrument": "gaia_eso_uves580"},
            ["gaia_eso_uves580 has R = 47", "theory (R = 2", "higher resolving"],
        ),
        ({"instrument": "apogee"}, ["apogee covers 15144–15808", "theory 5000–5400"]),
        ({"instrument": "nirspec"}, ["no instrument named 'nirspec'", "4most_lrs"]),
        ({}, ["on whose pixels?", "instrument="]),
        ({"instrument": "desi", "spectrum": "a.h5", "labels": None}, ["is for labels"]),
    ],
)
def test_what_cannot_be_seen_is_refused(bridge, given, words):
    for function in (synth2obs.morph, synth2obs.morph_batches):
        with pytest.raises(DataError) as refused:
            function(bridge, **{"labels": STARS, **given})
        assert all(word in str(refused.value) for word in words), refused.value


def test_a_gap_that_would_have_to_be_sharpened_is_refused(bridge):
    with pytest.raises(DataError, match=r"sharper than the gap of far \(R = .*leave survey out"):
        synth2obs.morph(bridge, labels=STARS, survey="far", instrument=like(bridge, "far", 0.8))
    with pytest.raises(ModelError, match="unknown survey"):
        synth2obs.morph(bridge, labels=STARS, survey="mine", instrument="sdss5_boss")


def test_batches_have_the_numbers_of_all_at_once(bridge):
    many = {"teff": np.linspace(4600, 6400, 70), "logg": 4.0}
    given = {"labels": many, "survey": "far", "instrument": like(bridge, "far", 1.5), "rv": 10.0}
    whole = synth2obs.morph(bridge, **given)
    parts = list(synth2obs.morph_batches(bridge, **given, batch=64))
    assert [len(part.flux) for part in parts] == [64, 6] and np.isfinite(whole.flux).any()
    np.testing.assert_array_equal(np.concatenate([part.flux for part in parts]), whole.flux)


def test_the_error_of_theory_is_averaged_over_the_instrument(bridge):
    bridge.theory_error.remainder.fill_(1e-4)
    try:
        found = synth2obs.morph(bridge, labels=STARS, instrument=like(bridge, "near", 1.5))
        error = found.emulator_error
    finally:
        bridge.theory_error.remainder.zero_()
    np.testing.assert_array_equal(np.isfinite(error), np.isfinite(found.flux))
    assert np.nanmin(error) >= 0.01 - 1e-6


def test_a_description_is_as_good_as_its_name(bridge):
    by_name = synth2obs.morph(bridge, labels=STARS, instrument="sdss5_boss")
    given = synth2obs.morph(bridge, labels=STARS, instrument=synth2obs.instrument("sdss5_boss"))
    other = synth2obs.morph(bridge, labels=STARS, instrument=replace(named("sdss5_boss"), name="mine"))
    np.testing.assert_array_equal(by_name.flux, given.flux)
    np.testing.assert_array_equal(by_name.flux, other.flux)
    assert other.instrument == "mine"
