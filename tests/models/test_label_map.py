"""The label map: the identity until it is told, slopes that are its slopes, and a regression that is not fooled."""

import numpy as np
import pytest
import torch

from synth2obs.models.fit.anchors import MapPrior, learn_map, regress
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.label_map import BEND, LabelMap, MapTerms, features

WEIGHT = torch.tensor([[0.3, 0.1, 0.0, -0.05], [0.1, 0.0, 0.2, 0.0], [-0.2, 0.05, 0.0, 0.1]]).double()
PRIOR = MapPrior(*(torch.full((3,), width, dtype=torch.float64) for width in (1.0, 0.3)))


def told(weight=WEIGHT, scatter=0.0):
    own = LabelMap()
    covariance = 0.01 * torch.eye(4, dtype=torch.float64).expand(3, 4, 4)
    own.set(MapTerms(weight, covariance, torch.full((3,), scatter, dtype=torch.float64)), 10)
    return own


@pytest.fixture
def x():
    return torch.randn(12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_the_identity_until_it_is_told(x):
    own = LabelMap()
    assert torch.equal(own(x), x)
    assert torch.equal(own.jacobian(x), torch.eye(5, dtype=torch.float64).expand(12, 5, 5))


def test_slopes(x, slope_of):
    torch.testing.assert_close(told().jacobian(x), slope_of(told(), x, 1e-6), rtol=1e-6, atol=1e-8)


def test_far_labels_do_not_run_away():
    far = torch.full((1, 5), 50.0, dtype=torch.float64)
    assert (told()(far) - far).abs().max() < WEIGHT.abs().sum(1).max() * BEND


def test_labels_get_the_error_of_the_map_and_the_scatter_of_stars(x):
    found = told(scatter=0.2).variance(x)
    expected = 0.01 * features(x).square().sum(1) + 0.04
    torch.testing.assert_close(found[:, :3], expected[:, None].expand(-1, 3))
    assert (found[:, 3:] == 0).all()


def stars(count, seed=0, scatter=0.1):
    random = torch.Generator().manual_seed(seed)
    phi = features(torch.randn(count, 5, generator=random, dtype=torch.float64))
    variance = torch.full((count, 3), 0.05**2, dtype=torch.float64)
    noise = torch.randn(count, 3, generator=random, dtype=torch.float64)
    return phi, phi @ WEIGHT.T + (scatter**2 + variance).sqrt() * noise, variance


def test_the_regression_finds_weights_and_scatter():
    found = regress(*stars(400), PRIOR)
    error = found.covariance.diagonal(dim1=1, dim2=2).sqrt()
    assert ((found.weight - WEIGHT) / error).square().mean().sqrt() < 1.5
    torch.testing.assert_close(found.scatter, torch.full((3,), 0.1, dtype=torch.float64), rtol=0.2, atol=0)


def test_its_errors_hold():
    pulls = []
    for seed in range(30):
        found = regress(*stars(15, seed), PRIOR)
        pulls.append(((found.weight - WEIGHT) / found.covariance.diagonal(dim1=1, dim2=2).sqrt())[:, 0])
    assert 0.8 < torch.stack(pulls).square().mean().sqrt() < 1.35


def test_a_star_whose_labels_are_wrong_hardly_counts():
    phi, shift, variance = stars(20, scatter=0.0)
    wrong = shift.clone()
    wrong[3] += 3.0
    one, two = (regress(phi, values, variance, PRIOR).weight[:, 0] for values in (shift, wrong))
    assert (one - two).abs().max() < 0.06


def test_unknown_labels_are_left_out_and_nothing_known_leaves_the_prior():
    phi, shift, variance = stars(20)
    some = shift.clone()
    some[:, 1] = torch.nan
    found = regress(phi, some, variance, PRIOR)
    assert torch.equal(found.weight[1], torch.zeros(4, dtype=torch.float64)) and found.scatter[1] == 0
    torch.testing.assert_close(found.covariance[1].diagonal(), PRIOR.precision[1].reciprocal())
    torch.testing.assert_close(found.weight[0], regress(phi, shift, variance, PRIOR).weight[0])


@pytest.fixture(scope="module")
def shifted(build, labels_of, stars_of):
    """A bridge, and stars whose spectra are theory's at other labels than their own."""
    bridge = build(degree=0)
    labels = labels_of(40, seed=8, share=0.6)
    seen_as = labels + np.array([80.0, 0.1, -0.1, 0.0, 0.0])
    spectra = stars_of(bridge, seen_as, np.zeros(40), snr=200.0, seed=5)
    return bridge, prepare(bridge, "toy", spectra), labels


def test_anchors_give_other_stars_their_labels(shifted):
    bridge, seen, labels = shifted
    x = bridge.scale(torch.from_numpy(labels))
    anchors, others = torch.arange(20), torch.arange(20, 40)
    columns = [bridge.labels.index(name) for name in ("teff", "logg", "fe_h")]
    if columns != [0, 1, 2]:
        pytest.skip("the toy grid's labels are not in the library's order")
    variance = torch.full((20, 3), 1e-3, dtype=torch.float64)
    before = fit_labels(bridge, seen.take(others), Options(refresh=1))
    learn_map(bridge, seen.take(anchors), x[anchors][:, :3], variance, x[anchors], PRIOR)
    after = fit_labels(bridge, seen.take(others), Options(refresh=1))
    off = [(fit.x - x[others])[:, :3].median(0).values.abs() for fit in (before, after)]
    assert (off[1] < 0.35 * off[0] + 0.02).all()
    slope = torch.autograd.functional.jacobian(lambda at: bridge.values_from_labels("toy", at), x[:1])
    found = bridge.from_labels("toy", x[:1]).jacobian
    torch.testing.assert_close(found[0], slope[0, :, 0].to(found.dtype), rtol=1e-4, atol=1e-5)
