"""Bridges as a bench asks them."""

import numpy as np
import pytest
import torch

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.baselines import ABLATIONS, METHODS
from synth2obs.analysis.entrants import BridgeEntrant
from synth2obs.analysis.proof.two_sample import told_from_stars
from synth2obs.analysis.proof.unseen import unseen_excess
from synth2obs.analysis.recovery import fitted_labels
from synth2obs.models.fit.observation import prepare


@pytest.fixture(scope="module")
def stars(bridge, labels_of, stars_of):
    labels = labels_of(8, seed=3, share=0.5)
    seen = prepare(bridge, "far", stars_of("far", bridge.predict(labels, "far"), snr=300))
    return seen, bridge.scale(torch.from_numpy(labels))


@pytest.mark.parametrize("name", [*METHODS, *ABLATIONS])
def test_every_method_answers_and_explains(bridge, stars, name):
    seen, x = stars
    entrant = BridgeEntrant(bridge, "far", {**METHODS, **ABLATIONS}[name])
    answer = entrant.answer(seen)
    np.testing.assert_array_equal(answer.labels, fitted_labels(bridge, answer.fit))
    assert answer.errors.shape == (8, 3) and (answer.errors > 0).all()
    held = entrant.held(seen, x, seen.rv)
    torch.testing.assert_close(held.x, x)
    assert entrant.change(x) is None


def test_plain_theory_does_not_know_the_gap(bridge, stars):
    seen, x = stars
    theory, morph = (
        BridgeEntrant(bridge, "far", METHODS[name]).held(seen, x, seen.rv) for name in ("theory", "morph")
    )
    assert morph.chi2.sum() < 0.5 * theory.chi2.sum()


def test_there_and_back_of_a_morph(bridge, stars):
    _, x = stars
    model = bare(bridge.survey("far"), alignment="conditional")
    with torch.no_grad():
        for parameter in model.morph.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    morphed = with_survey(bridge, "far", model)
    error = BridgeEntrant(morphed, "far", METHODS["morph"]).cycle_error(x)
    assert error is not None and error < 1e-6
    assert BridgeEntrant(morphed, "far", METHODS["theory"]).cycle_error(x) is None


def test_no_morph_has_no_way_back(bridge, stars):
    plain = with_survey(bridge, "far", bare(bridge.survey("far")))
    assert BridgeEntrant(plain, "far", METHODS["morph"]).cycle_error(stars[1]) is None


@pytest.mark.parametrize("name, low, high", [("morph", 0.3, 0.7), ("theory", 0.85, 1.0)])
def test_a_classifier_tells_theory_from_stars_and_not_what_made_them(
    bridge, labels_of, stars_of, name, low, high
):
    labels = labels_of(60, seed=9, share=0.5)
    seen = prepare(bridge, "far", stars_of("far", bridge.predict(labels, "far"), snr=100))
    entrant = BridgeEntrant(bridge, "far", METHODS[name])
    fit = entrant.answer(seen).fit
    found = told_from_stars(entrant, seen, fit, np.arange(60), 1.0, 40)
    assert low < found.value <= high


def test_the_morph_that_made_stars_predicts_what_labels_did_not_see(bridge, stars):
    seen, _ = stars
    left = {}
    for name in ("theory", "morph"):
        entrant = BridgeEntrant(bridge, "far", METHODS[name])
        left[name] = unseen_excess(entrant, seen, entrant.answer(seen).fit, 1.0).sum()
    assert left["morph"] < 0.3 * left["theory"]
