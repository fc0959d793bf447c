"""A survey's parts: slopes of its coefficients and of its morph, and what the instrument does to which."""

import pytest
import torch

from synth2obs.models.alignment.change import JACOBIAN_STEP
from synth2obs.models.gap.reading import BEND


@pytest.fixture
def u():
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_coefficients_have_their_slope(build, degree, u, slope_of):
    bridge = build(degree=degree, busy=True)
    bridge.decoder.double()
    model = bridge.survey("toy")
    found = model.coefficients(bridge.decoder, u)
    slope = slope_of(lambda at: model.coefficients(bridge.decoder, at).value, u)
    torch.testing.assert_close(found.jacobian, slope, rtol=1e-6, atol=1e-8)
    assert found.value.shape == (5, 1 + 8 + model.gap.size) and (found.value[:, 0] == 1).all()


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_features_are_the_polynomial_of_bent_labels(build, degree, u):
    model = build(degree=degree).survey("toy")
    features = model.gap.features(u)
    labels = BEND * torch.tanh(u @ model.gap.reading.readout.T / BEND)
    assert features.shape == (5, (1, 4, 10)[degree]) and (features[:, 0] == 1).all()
    if degree > 0:
        torch.testing.assert_close(features[:, 1:4], labels)
    if degree > 1:
        products = [labels[:, i] * labels[:, j] for i in range(3) for j in range(i, 3)]
        torch.testing.assert_close(features[:, 4:], torch.stack(products, dim=1))


def test_features_level_off(build):
    features = build(degree=2).survey("toy").gap.features(torch.full((1, 6), 1e3, dtype=torch.float64))
    assert features.abs().max() <= BEND**2 + 1e-9


def test_morph_jacobian_is_its_slope(busy, u, slope_of):
    model = busy.survey("toy")
    slope = slope_of(lambda at: model.morph(at)[0], u)
    torch.testing.assert_close(model.morph.jacobian(u), slope, rtol=0, atol=10 * JACOBIAN_STEP)
    assert (slope - torch.eye(6)).abs().max() > 100 * JACOBIAN_STEP


def test_untrained_morph_and_gap_do_nothing(bridge, u, instrument):
    model = bridge.survey("toy")
    assert torch.equal(model.morph(u)[0], u)
    torch.testing.assert_close(
        model.morph.jacobian(u), torch.eye(6).double().expand(5, -1, -1), rtol=0, atol=1e-8
    )
    projected = model.project(bridge.decoder, instrument, torch.zeros(2, dtype=torch.float64))
    assert (projected[..., 9:] == 0).all()


class TestProject:
    def test_columns_are_mean_trunk_gap(self, busy, instrument):
        model, rv = busy.survey("toy"), torch.tensor([0.0, 60.0], dtype=torch.float64)
        projected = model.project(busy.decoder, instrument, rv)
        assert projected.shape == (2, instrument.pixels, 1 + 8 + 4)
        mean = instrument(busy.decoder.mean.expand(2, -1), rv, 1.1)
        torch.testing.assert_close(projected[..., 0], mean, rtol=0, atol=1e-5)

    def test_pixels_weigh_no_more_than_theory_s_own_errors_allow(self, build, instrument):
        model, rv = build(busy=True).survey("toy"), torch.tensor([0.0, 60.0], dtype=torch.float64)
        weighed, left = model.spreads(instrument, rv)
        torch.testing.assert_close(weighed, left)
        torch.testing.assert_close(left, instrument(model.gap.scatter.sqrt().expand(2, -1), rv, 0.0))
        model.unexplained[: len(model.unexplained) // 2] = 0.05**2
        weighed, same = model.spreads(instrument, rv)
        assert torch.equal(same, left) and (weighed >= left - 1e-6).all() and (weighed > 2 * left).any()

    def test_line_spread_acts_on_theory_and_not_on_the_gap(self, build, instrument):
        bridge = build(busy=True)
        model, rv = bridge.survey("toy"), torch.zeros(1, dtype=torch.float64)
        before = model.project(bridge.decoder, instrument, rv)
        model.width_scale.fill_(2.0)
        after = model.project(bridge.decoder, instrument, rv)
        valid = instrument.valid(rv, 2.0)[0]
        assert torch.equal(before[0, valid, 9:], after[0, valid, 9:])
        assert (before[0, valid, :9] - after[0, valid, :9]).abs().max() > 1e-3

    def test_rows_of_stars_do_not_matter_where_all_share_pixels(self, busy, instrument):
        rv = torch.tensor([10.0, -20.0], dtype=torch.float64)
        model = busy.survey("toy")
        own = model.project(busy.decoder, instrument, rv, torch.tensor([7, 3]))
        assert torch.equal(own, model.project(busy.decoder, instrument, rv))
