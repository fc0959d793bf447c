"""The gap that a bridge's surveys have in common: a line that theory lacks, in two surveys, one of five stars."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.errors import ModelError
from synth2obs.models.bundle import load_bundle, save_bundle
from synth2obs.models.fit.common_gap import check_features, own_gap, share_gap, smoothings
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels

CENTRE, DEPTH, WIDTH = 5145.0, 0.06, 2.5
MANY, FEW = (60, 100.0), (5, 15.0)
"""Stars and their signal to noise."""


def line(wavelength):
    return DEPTH * np.exp(-0.5 * ((wavelength - CENTRE) / WIDTH) ** 2)


@pytest.fixture
def pair(build):
    """A bridge of two surveys that are alike."""
    bridge = build(degree=0, window=20)
    bridge.models["few"] = copy.deepcopy(bridge.survey("toy"))
    return bridge


def alone(bridge, name, stars, snr, labels_of, stars_of, seed):
    """A survey's gap by its own stars, which all lack a line in theory."""
    labels = labels_of(stars, seed=seed, share=0.6)
    spectra = stars_of(bridge, labels, np.zeros(stars), snr=snr, seed=seed)
    level = np.median(spectra.flux, axis=1, keepdims=True)
    flux = (spectra.flux - line(spectra.wavelength) * level).astype(np.float32)
    seen = prepare(bridge, name, replace(spectra, flux=flux))
    fit = fit_labels(
        bridge, seen, Options(steps=6, refresh=1), bridge.scale(torch.from_numpy(labels)), seen.rv
    )
    return own_gap(bridge, seen, fit)


@pytest.fixture
def taught(pair, labels_of, stars_of):
    """The bridge, and what its surveys' own stars say."""
    own = {
        name: alone(pair, name, *stars, labels_of, stars_of, seed)
        for name, stars, seed in (("toy", MANY, 3), ("few", FEW, 4))
    }
    return pair, own


def test_few_stars_gain_and_the_bundle_keeps_it(taught, tmp_path):
    bridge, own = taught
    rest = bridge.decoder.rest_wavelength
    truth = -torch.from_numpy(line(rest.numpy()))
    inside = (rest > 5030) & (rest < 5370)

    def error():
        return float((bridge.survey("few").gap.mean[0] - truth)[inside].square().mean().sqrt())

    before, scatter = error(), bridge.survey("few").gap.scatter.clone()
    found = share_gap(bridge, own)
    assert error() < 0.8 * before
    assert torch.equal(bridge.survey("few").gap.scatter, scatter)
    torch.testing.assert_close(bridge.survey("few").gap.mean, found.surveys["few"].total.mean.float())
    again = load_bundle(save_bundle(bridge, tmp_path / "bridge"))
    for name in own:
        assert torch.equal(again.survey(name).gap.mean, bridge.survey(name).gap.mean)
        assert torch.equal(again.survey(name).gap.factor, bridge.survey(name).gap.factor)


def test_a_survey_alone_keeps_its_gap(taught):
    bridge, own = taught
    before = bridge.survey("toy").gap.mean.clone()
    share_gap(bridge, {"toy": own["toy"]})
    torch.testing.assert_close(bridge.survey("toy").gap.mean, before, rtol=1e-4, atol=1e-7)


def test_a_blunter_survey_is_smoothed_and_the_sharper_one_is_not(pair):
    pair.survey("few").width_scale.fill_(2.0)
    maps = smoothings(pair, ["toy", "few"])
    assert not maps["toy"].variance.any() and (maps["few"].variance > 1).all()


def test_features_in_other_units_are_refused(pair):
    check_features(pair, ["toy", "few"])
    linear = pair.survey("few")
    other = type(linear.gap)
    linear.gap.__class__ = type("Other", (other,), {})
    with pytest.raises(ModelError, match="different kinds"):
        check_features(pair, ["toy", "few"])


def test_labels_that_are_read_otherwise_are_refused(build):
    bridge = build(degree=1)
    bridge.models["few"] = copy.deepcopy(bridge.survey("toy"))
    check_features(bridge, ["toy", "few"])
    bridge.survey("few").gap.reading.readout.neg_()
    with pytest.raises(ModelError, match="at the same labels"):
        check_features(bridge, ["toy", "few"])
