"""The critic: masks, losses, and what it can learn."""

import pytest
import torch

from synth2obs.models.alignment.critic import Critic, critic_losses, r1_penalty, sliced_energy_distance

SMALL = {"channels": (8, 8), "kernel": 5}


@pytest.fixture(autouse=True)
def seed():
    """Modules draw their first weights from the global generator."""
    torch.manual_seed(0)


def pixels(stars=6, count=61, masked=0.3):
    residual = torch.randn(stars, 1, count)
    return torch.cat([residual, (torch.rand(stars, 1, count) > masked).float()], dim=1)


def critic():
    return Critic(**SMALL).eval()


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_value_of_a_masked_pixel_does_not_count(value):
    one, x = critic(), pixels()
    changed = x.clone()
    changed[:, 0][x[:, 1] == 0] = value
    assert torch.equal(one(x), one(changed))


@pytest.mark.parametrize("count", [60, 61, 64])
@pytest.mark.parametrize("extra", [1, 2, 17])
def test_masked_pixels_at_the_end_do_not_count(count, extra):
    one, x = critic().double(), pixels(count=count).double()
    longer = torch.cat([x, torch.zeros(len(x), 2, extra, dtype=x.dtype)], dim=2)
    torch.testing.assert_close(one(x), one(longer))


def test_any_number_of_pixels_and_a_fully_masked_star():
    one = critic()
    assert one(pixels(3, 9)).shape == (3,)
    empty = pixels(2, 40, masked=2.0)
    assert torch.isfinite(one(empty)).all()


def test_score_has_no_gradient_in_masked_or_clipped_pixels():
    x = pixels()
    x[0, 0, :5] = 100.0
    residual = x[:, :1].clone().requires_grad_()
    critic()(torch.cat([residual, x[:, 1:]], dim=1)).sum().backward()
    silent = (x[:, 1] == 0) | (x[:, 0].abs() > 10)
    assert (residual.grad[:, 0][silent] == 0).all() and (residual.grad[:, 0][~silent] != 0).any()


def test_weights_have_unit_norm():
    one = Critic(**SMALL).train()
    for _ in range(30):
        one(pixels())
    for layer in [*one.layers, one.score]:
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2)
        assert abs(norm - 1) < 0.02


def test_critic_loss_does_not_reach_the_generator():
    one, fake = Critic(**SMALL), pixels().requires_grad_()
    loss, generator_loss = critic_losses(one, pixels(), fake)
    loss.backward()
    assert fake.grad is None
    generator_loss.backward()
    assert fake.grad.abs().sum() > 0


def test_r1_is_that_of_a_known_critic():
    weight = torch.linspace(-1, 1, 20)

    class Linear(torch.nn.Module):
        def forward(self, x):
            return (x[:, 0] * x[:, 1] * weight).mean(-1)

    x = pixels(4, 20, masked=0.0)
    expected = 20 * (weight / 20).square().sum()
    torch.testing.assert_close(r1_penalty(Linear(), x), expected)


def test_r1_trains_the_critic():
    one = Critic(**SMALL)
    r1_penalty(one, pixels()).backward()
    assert one.layers[0].parametrizations.weight.original.grad.abs().sum() > 0


def test_it_learns_to_see_a_correlated_residual():
    one = Critic(**SMALL)
    optimizer = torch.optim.Adam(one.parameters(), lr=1e-2)

    def real(stars):
        white = torch.randn(stars, 1, 80)
        return torch.cat([(white + white.roll(1, -1)) / 2**0.5, torch.ones(stars, 1, 80)], dim=1)

    for _ in range(80):
        optimizer.zero_grad()
        (critic_losses(one, real(32), pixels(32, 80, 0.0))[0]).backward()
        optimizer.step()
    one.eval()
    with torch.no_grad():
        better = one(real(200))[:, None] > one(pixels(200, 80, 0.0))[None]
    assert better.float().mean() > 0.9


def test_state_survives_a_round_trip():
    one, two, x = Critic(**SMALL).train(), Critic(**SMALL), pixels()
    one(x)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.eval()(x), two.eval()(x))


class TestSlicedEnergyDistance:
    def test_is_the_definition(self):
        a, b = torch.randn(7, 3).double(), torch.randn(5, 3).double()
        axis = torch.tensor([[0.0, 2.0, 0.0]]).double()
        x, y = a[:, 1], b[:, 1]

        def mean_gap(p, q):
            return (p[:, None] - q[None]).abs().mean()

        expected = 2 * mean_gap(x, y) - mean_gap(x, x) - mean_gap(y, y)
        torch.testing.assert_close(sliced_energy_distance(a, b, axis), expected)

    def test_is_zero_for_one_sample_and_grows_with_a_shift(self):
        a, axes = torch.randn(64, 4), torch.randn(16, 4)
        shifted = [sliced_energy_distance(a, a + shift, axes) for shift in (0.0, 0.5, 1.0)]
        assert shifted[0] < 1e-12 < shifted[1] < shifted[2]

    def test_gradient(self):
        a = torch.randn(5, 3).double().requires_grad_()
        b, axes = torch.randn(4, 3).double(), torch.randn(6, 3).double()
        assert torch.autograd.gradcheck(lambda x: sliced_energy_distance(x, b, axes), a)


def test_wrong_arguments_name_themselves():
    with pytest.raises(ValueError, match="odd kernel"):
        Critic(kernel=4)
