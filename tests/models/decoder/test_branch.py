"""The branch: its slopes, its start, and the precision of its values."""

import pytest
import torch

from synth2obs.models.decoder.branch import Branch, Radial, radial


@pytest.fixture
def branch():
    torch.manual_seed(0)
    branch = Branch(5, 9, 7)
    for parameter in branch.parameters():
        torch.nn.init.normal_(parameter)
    for buffer in (branch.inner.weight, branch.inner.bias):
        buffer.normal_()
    branch.inner.length.fill_(1.3)
    branch.inner.tilt.fill_(0.4)
    return branch


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_jacobian_is_the_slope(branch, slope_of, scale):
    u = scale * torch.randn(4, 5, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(branch.jacobian(u), slope_of(branch, u), rtol=1e-7, atol=1e-7)


def test_gradients_with_respect_to_latents_and_weights(branch):
    u = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(branch, u)
    torch.autograd.gradcheck(lambda weight: branch.inner.pulled_back(u, weight), branch.outer.weight)


def test_units_are_what_they_say():
    """Against the formula, one unit and one latent at a time."""
    torch.manual_seed(1)
    v, centres = torch.randn(3, 4, dtype=torch.float64), torch.randn(6, 4, dtype=torch.float64)
    length, tilt = torch.tensor(0.7, dtype=torch.float64), torch.tensor(0.2, dtype=torch.float64)
    found = radial(v, centres, length, tilt)
    for b in range(3):
        for m in range(6):
            apart = sum((float(x) - float(y)) ** 2 for x, y in zip(v[b], centres[m], strict=True))
            along = sum(float(x) * float(y) for x, y in zip(v[b], centres[m], strict=True))
            assert float(found[b, m]) == pytest.approx(
                (1 + 0.2 * along) / (1 + apart / (2 * 0.7**2)), rel=1e-12
            )


def test_kernel_has_gradients_where_points_coincide():
    points = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    length, tilt = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    (slope,) = torch.autograd.grad(radial(points, points, length, tilt).sum(), points)
    assert torch.isfinite(slope).all()


def test_starts_as_nothing():
    assert (Branch(5, 9, 7)(torch.randn(4, 5)) == 0).all()


def test_units_use_all_latents():
    u = torch.randn(3, 5, dtype=torch.float64)
    moved = u + torch.eye(5, dtype=torch.float64)[:, None]
    units = Radial(5, 7)
    assert all((units(each) - units(u)).abs().max() > 1e-3 for each in moved)


def test_single_precision_latents_lose_nothing_but_their_own(branch):
    """Weights of 10⁴ that cancel would cost single precision four digits."""
    branch.outer.weight.data.mul_(1e4)
    branch.outer.weight.data[:, 0] -= branch.outer.weight.data.sum(1)
    u = torch.randn(6, 5)
    with torch.no_grad():
        assert branch(u).dtype == branch.jacobian(u).dtype == torch.float32
        torch.testing.assert_close(branch(u), branch(u.double()).float(), rtol=0, atol=0)
        torch.testing.assert_close(branch.jacobian(u), branch.jacobian(u.double()).float(), rtol=0, atol=0)
