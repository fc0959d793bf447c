"""Laws that every morph and density keeps, whatever its couplings."""

import pytest
import torch

from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.alignment.conditional import ConditionalConfig, ConditionalMorph
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.flow import COUPLINGS

DIM = 5


@pytest.fixture(autouse=True)
def seed():
    """Modules draw their first weights from the global generator."""
    torch.manual_seed(0)


@pytest.fixture(params=sorted(COUPLINGS))
def config(request):
    return ConditionalConfig(layers=6, hidden=16, kind=request.param)


def trained(module, seed=0, scale=0.1):
    """The module with every parameter moved away from its start, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return module


def latents(count, dim=DIM, seed=1, dtype=torch.float64):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class TestMorph:
    def test_starts_at_identity(self, config):
        u = latents(64, dtype=torch.float32)
        v, logabsdet = ConditionalMorph(DIM, config)(u)
        exact = config.kind != "spline"
        torch.testing.assert_close(v, u, rtol=0, atol=0 if exact else 5e-6)
        torch.testing.assert_close(logabsdet, torch.zeros(64), rtol=0, atol=0 if exact else 2e-5)

    @pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
    def test_round_trip(self, config, dtype, tolerance):
        morph = trained(ConditionalMorph(DIM, config).to(dtype))
        u = latents(256, dtype=dtype)
        v, forward = morph(u)
        back, inverse = morph.inverse(v)
        assert (v - u).abs().max() > 0.1
        torch.testing.assert_close(back, u, rtol=0, atol=tolerance)
        torch.testing.assert_close(inverse, -forward, rtol=0, atol=10 * tolerance)

    def test_determinant_is_that_of_autodiff(self, config):
        morph, u = trained(ConditionalMorph(DIM, config).double()), latents(4)
        jacobians = [torch.autograd.functional.jacobian(lambda x: morph(x[None])[0][0], row) for row in u]
        expected = torch.linalg.slogdet(torch.stack(jacobians)).logabsdet
        torch.testing.assert_close(morph(u)[1], expected)

    def test_stars_do_not_see_each_other(self, config):
        morph, u = trained(ConditionalMorph(DIM, config).double()), latents(8)
        torch.testing.assert_close(morph(u)[0][3:4], morph(u[3:4])[0])

    def test_every_parameter_gets_a_gradient(self, config):
        morph = trained(ConditionalMorph(DIM, config).double())
        change = minimal_change(morph, latents(16))
        (change["displacement"] + change["jacobian"]).backward()
        for name, parameter in morph.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


class TestDensity:
    def test_starts_as_standard_normal(self, config):
        u = latents(32)
        expected = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(-1)
        tolerance = 1e-12 if config.kind != "spline" else 1e-5
        found = FlowDensity(DIM, config).double().log_prob(u)
        torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)

    def test_integrates_to_one(self, config):
        density = trained(FlowDensity(2, config).double(), scale=0.1)
        axis = torch.linspace(-12, 12, 301, dtype=torch.float64)
        points = torch.cartesian_prod(axis, axis)
        integral = density.log_prob(points).exp().sum() * (axis[1] - axis[0]) ** 2
        assert abs(integral - 1) < 2e-3

    def test_samples_follow_the_density(self, config):
        density = trained(FlowDensity(2, config).double(), scale=0.1)
        generator = torch.Generator().manual_seed(3)
        draws = density.sample(20_000, generator)
        axis = torch.linspace(-12, 12, 301, dtype=torch.float64)
        points = torch.cartesian_prod(axis, axis)
        weight = density.log_prob(points).exp()
        mean = (weight[:, None] * points).sum(0) / weight.sum()
        variance = (weight[:, None] * (points - mean) ** 2).sum(0) / weight.sum()
        error = (variance / len(draws)).sqrt()
        assert ((draws.mean(0) - mean).abs() < 4 * error).all()
        torch.testing.assert_close(draws.var(0), variance, rtol=0.05, atol=0)
