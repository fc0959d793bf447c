"""The trunk: its table is its function, and between samples it interpolates."""

import pytest
import torch

from synth2obs.models.trunk import Trunk

SAMPLES = 300


@pytest.fixture
def trunk():
    torch.manual_seed(0)
    trunk = Trunk(SAMPLES, 3)
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return trunk


@pytest.mark.parametrize("samples", [5, 129, SAMPLES])
def test_table_is_the_function_at_the_samples(samples):
    trunk = Trunk(samples, 3)
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    at = trunk(torch.arange(samples, dtype=torch.float64))
    torch.testing.assert_close(at, trunk.table(), rtol=1e-5, atol=1e-6)


def test_starts_as_its_fine_table_alone():
    trunk = Trunk(SAMPLES, 3)
    torch.nn.init.normal_(trunk.fine)
    assert torch.equal(trunk.table(), trunk.fine)


def test_cubics_are_exact_up_to_both_ends():
    x = torch.arange(SAMPLES, dtype=torch.float64)
    powers = torch.stack([(x / SAMPLES) ** k for k in range(4)], dim=1)
    trunk = Trunk(SAMPLES, 4).double()
    trunk.fine.data.copy_(powers)
    position = torch.linspace(0, SAMPLES - 1, 1001, dtype=torch.float64)
    expected = torch.stack([(position / SAMPLES) ** k for k in range(4)], dim=1)
    torch.testing.assert_close(trunk(position), expected, rtol=0, atol=1e-12)


def test_interpolation_error_is_that_of_four_points():
    """(9/16)/24 · max|f''''| h⁴ inside (Abramowitz & Stegun 25.2.13)."""
    wavenumber = 2 * torch.pi / 20
    trunk = Trunk(SAMPLES, 1).double()
    trunk.fine.data.copy_(torch.sin(wavenumber * torch.arange(SAMPLES, dtype=torch.float64))[:, None])
    position = torch.linspace(1, SAMPLES - 2, 2999, dtype=torch.float64)
    error = (trunk(position)[:, 0] - torch.sin(wavenumber * position)).abs().max()
    bound = 9 / 16 / 24 * wavenumber**4
    assert 0.5 * bound < error < 1.01 * bound


def test_continuous_across_the_nodes_of_every_table(trunk):
    nodes = torch.arange(1, SAMPLES - 1, dtype=torch.float64)
    jump = trunk(nodes + 1e-6) - trunk(nodes - 1e-6)
    assert jump.abs().max() < 1e-4


def test_every_parameter_learns(trunk):
    trunk.table().square().sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
