"""Spectra to compute next: where a real small bridge knows least."""

import copy

import numpy as np
import pytest
import torch

from synth2obs.analysis.choose import choose_labels
from synth2obs.core.errors import ModelError
from synth2obs.models.emulator.process import ProcessEmulator

FEW = 24


@pytest.fixture(scope="module")
def unsure(bridge):
    """The bridge with a Gaussian process that knows a few of its spectra."""
    known = bridge.emulator.known[:FEW]
    latent = bridge.emulator(known)
    emulator = ProcessEmulator(known.shape[1], latent.shape[1], FEW)
    emulator.fit(known, latent, torch.ones(latent.shape[1]))
    other = copy.deepcopy(bridge)
    other.emulator = emulator
    return other


def test_the_first_is_the_least_certain_and_none_comes_twice(unsure, labels_of):
    names, candidates = unsure.labels.names, labels_of(40, seed=12)
    chosen = choose_labels(unsure, names, candidates, 6)
    variance = unsure.emulator.open_covariance(unsure.scale(torch.from_numpy(candidates))).diagonal()
    np.testing.assert_array_equal(chosen[0], candidates[int(variance.argmax())])
    assert len(np.unique(chosen, axis=0)) == 6
    assert all((candidates == row).all(axis=1).any() for row in chosen)


def test_the_order_of_the_labels_is_the_recipes(unsure, labels_of):
    names, candidates = unsure.labels.names, labels_of(40, seed=12)
    turned = choose_labels(unsure, names[::-1], candidates[:, ::-1].copy(), 6)
    np.testing.assert_array_equal(turned[:, ::-1], choose_labels(unsure, names, candidates, 6))


def test_what_cannot_choose_is_refused(bridge, unsure, labels_of):
    with pytest.raises(ModelError, match="does not know its errors; train one named 'process'"):
        choose_labels(bridge, bridge.labels.names, labels_of(4), 2)
    with pytest.raises(ModelError, match="they differ in mg_fe"):
        choose_labels(unsure, unsure.labels.names[:-1], labels_of(4)[:, :-1], 2)
