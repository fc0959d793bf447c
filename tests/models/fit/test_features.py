"""Slopes of a gap are bought by held-out spectra, and only where they leave labels sharp."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.models.fit import features
from synth2obs.models.fit.features import blurred, choose_features
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.refine import ROUND, learn_weights
from synth2obs.models.fit.result import FIELDS, LabelFit
from synth2obs.models.fit.task import fit_labels

CENTRE, WIDTH, TRAIN, HELD = 5145.0, 2.5, 80, 30


def surveyed(build, labels_of, stars_of, slope):
    """A bridge, training stars with their fit, and held-out stars: a line that theory lacks deepens with [Fe/H]."""
    bridge = build(degree=1, window=20)
    labels = labels_of(TRAIN + HELD, seed=8, share=0.6)
    spectra = stars_of(bridge, labels, np.zeros(len(labels)), snr=100.0, seed=5)
    depth = 0.06 + slope * (labels[:, 2] - labels[:, 2].mean())
    line = depth[:, None] * np.exp(-0.5 * ((spectra.wavelength - CENTRE) / WIDTH) ** 2)
    level = np.median(spectra.flux, axis=1, keepdims=True)
    seen = prepare(bridge, "toy", replace(spectra, flux=(spectra.flux - line * level).astype(np.float32)))
    train, held = seen.take(torch.arange(TRAIN)), seen.take(torch.arange(TRAIN, TRAIN + HELD))
    x = bridge.scale(torch.from_numpy(labels[:TRAIN]))
    fit = fit_labels(bridge, train, ROUND, x, train.rv)
    learn_weights(bridge, train, fit)
    return bridge, train, fit_labels(bridge, train, ROUND, fit.x, fit.rv), held


@pytest.mark.parametrize(("slope", "size"), [(0.0, 1), (0.1, 4)])
def test_as_many_features_as_spectra_ask_for(build, labels_of, stars_of, slope, size):
    bridge, train, fit, held = surveyed(build, labels_of, stars_of, slope)
    before = {name: value.clone() for name, value in bridge.survey("toy").state_dict().items()}
    told = choose_features(bridge, train, fit, held)
    assert told["gap_features"] == size == int(bridge.survey("toy").gap.used)
    for name, value in bridge.survey("toy").state_dict().items():
        assert name == "gap.used" or torch.equal(value.nan_to_num(), before[name].nan_to_num()), name


def test_slopes_that_blur_labels_are_not_bought(build, labels_of, stars_of, monkeypatch):
    bridge, train, fit, held = surveyed(build, labels_of, stars_of, 0.1)
    monkeypatch.setattr(features, "BLUR", 0.0)
    told = choose_features(bridge, train, fit, held)
    assert told["gap_features"] == 1 and told["gap_blur"] > 0


def test_blur_is_the_scatter_of_a_gap_of_all_stars():
    """Two halves differ by twice what a gap of both errs; a common offset is no scatter."""
    random = torch.Generator().manual_seed(0)
    base, count = torch.zeros(4000, 2, dtype=torch.float64), 4000
    scatter = torch.randn(2, count, 2, generator=random, dtype=torch.float64) * 0.4 * 2**0.5
    scatter[:, :, 1] = 7.0

    def fit_of(x):
        empty = dict.fromkeys(FIELDS, torch.zeros(count))
        return LabelFit(
            **{**empty, "theta": x, "covariance": 4.0 * torch.eye(2).double().expand(count, 2, 2)}
        )

    assert blurred(
        fit_of(base + scatter[0]), fit_of(base + scatter[1]), fit_of(base), [0, 1]
    ) == pytest.approx(0.2, rel=0.05)
