"""Baselines differ from the bridge in one survey's morph and gap, and in nothing else."""

import numpy as np
import pytest
import torch

from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.baselines import baselines, stellar_table
from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.result import StarLabels
from synth2obs.models.gap import GAPS


@pytest.fixture(scope="module")
def stars(bridge, labels_of, stars_of):
    """Stars of ``far`` as its own morph and gap make them, at their labels."""
    labels = labels_of(24, seed=41, share=0.6)
    seen = prepare(bridge, "far", stars_of("far", bridge.predict(labels, "far"), snr=200))
    x = bridge.scale(torch.from_numpy(labels))
    return seen, StarLabels(x, seen.rv, torch.ones_like(seen.rv))


@pytest.fixture(scope="module")
def found(bridge, stars):
    before = {key: value.clone() for key, value in bridge.state_dict().items()}
    result = baselines(bridge, *stars)
    after = bridge.state_dict()
    assert all(torch.equal(after[key].nan_to_num(), before[key].nan_to_num()) for key in before)
    return result


def test_everything_else_is_shared(bridge):
    other = with_survey(bridge, "far", bare(bridge.survey("far"), "constant"))
    assert other.decoder is bridge.decoder and other.emulator is bridge.emulator
    assert other.survey("near") is bridge.survey("near")
    assert other.survey("far") is not bridge.survey("far")
    assert other.surveys == bridge.surveys and other.labels is bridge.labels


@pytest.mark.parametrize("name", GAPS)
def test_a_bare_survey_is_theory_through_the_same_instrument(bridge, labels_of, name):
    model = bridge.survey("far")
    model_width, gap = float(model.width_scale), model.gap.mean.clone()
    plain = bare(model, name)
    assert not plain.gap.mean.any() and plain.gap.config.name == name
    assert float(plain.width_scale) == model_width
    u = torch.randn(5, bridge.decoder.latent, dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(plain.morph(u)[0], u)
    assert minimal_change(plain.morph, u)["jacobian"].item() == 0.0
    labels = labels_of(3, seed=5)
    other = with_survey(bridge, "far", plain)
    theory = bridge.predict(labels, "far", morphed=False)
    np.testing.assert_allclose(other.predict(labels, "far"), theory, rtol=0, atol=1e-6)
    assert torch.equal(model.gap.mean, gap)


def test_all_baselines_are_there(found):
    assert found.keys() == {"theory_weighted", "constant_residual", "linear_residual", "marginal_alignment"}


def test_gaps_of_baselines_have_their_degree(found):
    gaps = {name: bridge.survey("far").gap.mean for name, bridge in found.items()}
    assert gaps["constant_residual"].shape[0] == 1 and gaps["linear_residual"].shape[0] == 4
    assert gaps["constant_residual"].any() and gaps["linear_residual"][1:].any()
    assert not gaps["theory_weighted"].any() and not gaps["marginal_alignment"].any()


def test_residual_baselines_explain_more_than_theory(found, bridge, labels_of):
    labels = labels_of(30, seed=43, share=0.6)
    truth = bridge.predict(labels, "far")
    covered = np.isfinite(truth).all(0)

    def error(name):
        return np.square(found[name].predict(labels, "far") - truth)[:, covered].mean()

    assert error("constant_residual") < error("theory_weighted")
    assert error("linear_residual") < error("constant_residual")


def test_marginal_alignment_carries_one_density_onto_the_other(bridge, stars):
    own = with_survey(bridge, "far", bridge.survey("far"))
    own.density.set_affine(torch.eye(6).double(), torch.zeros(6).double())
    # Twice as narrow and centred on 1: noise = 2 u - 2.
    own.survey("far").density.set_affine(2 * torch.eye(6).double(), torch.full((6,), -2.0).double())
    found = baselines(own, *stars)["marginal_alignment"]
    u = torch.randn(8, 6, dtype=torch.float64)
    with torch.no_grad():
        moved, logabsdet = found.survey("far").morph(u)
    assert torch.allclose(moved, 0.5 * u + 1.0, atol=1e-6)
    assert torch.allclose(logabsdet, torch.full((8,), 6 * np.log(0.5)).double(), atol=1e-6)
    own.survey("far").density.set_affine(torch.eye(6).double(), torch.zeros(6).double())


def test_stellar_labels_in_their_units(bridge, labels_of):
    labels = labels_of(4, seed=1)
    assert np.allclose(stellar_table(bridge, bridge.scale(torch.from_numpy(labels))), labels[:, :3])
