"""The trunk: its table is its function, and between samples it interpolates, but never across a hole."""

import math

import pytest
import torch

from synth2obs.models.decoder.trunk import POINTS, Trunk

SAMPLES = 300
STARTS = {"one band": (0,), "three bands": (0, 130, 137)}


@pytest.fixture(params=STARTS.values(), ids=STARTS.keys())
def trunk(request):
    return random_trunk(SAMPLES, request.param)


def random_trunk(samples, starts=(0,)):
    torch.manual_seed(0)
    trunk = Trunk(samples, 3, starts=starts)
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return trunk


def bands_of(trunk):
    return list(zip(trunk.edges[:-1].tolist(), trunk.edges[1:].tolist(), strict=True))


def inside(trunk, step):
    """Places in all bands, both ends of each included."""
    return torch.cat(
        [torch.arange(0, stop - start - 1 + step / 2, step) + start for start, stop in bands_of(trunk)]
    )


@pytest.mark.parametrize("samples", [POINTS, 129, SAMPLES])
def test_table_is_the_function_at_the_samples(samples):
    trunk = random_trunk(samples)
    at = trunk(torch.arange(samples, dtype=torch.float64))
    torch.testing.assert_close(at, trunk.table(), rtol=1e-5, atol=1e-6)


def test_table_is_the_function_at_the_samples_of_every_band(trunk):
    at = trunk(torch.arange(SAMPLES, dtype=torch.float64))
    torch.testing.assert_close(at, trunk.table(), rtol=1e-5, atol=1e-6)


def test_starts_as_its_fine_table_alone():
    trunk = Trunk(SAMPLES, 3)
    torch.nn.init.normal_(trunk.fine)
    assert torch.equal(trunk.table(), trunk.fine)


def test_polynomials_are_exact_up_to_the_ends_of_every_band(trunk):
    x = torch.arange(SAMPLES, dtype=torch.float64)
    powers = torch.stack([(x / SAMPLES) ** k for k in range(POINTS)], dim=1)
    position = inside(trunk, 0.23).double()
    expected = torch.stack([(position / SAMPLES) ** k for k in range(POINTS)], dim=1)
    torch.testing.assert_close(trunk.between(powers, position), expected, rtol=0, atol=1e-12)


def test_interpolation_error_is_that_of_six_points():
    """(225/64)/720 · max|f⁽⁶⁾| h⁶ in the middle (Abramowitz & Stegun 25.2.19)."""
    wavenumber = 2 * torch.pi / 20
    trunk = Trunk(SAMPLES, 1).double()
    trunk.fine.data.copy_(torch.sin(wavenumber * torch.arange(SAMPLES, dtype=torch.float64))[:, None])
    position = torch.linspace(3, SAMPLES - 4, 2999, dtype=torch.float64)
    error = (trunk(position)[:, 0] - torch.sin(wavenumber * position)).abs().max()
    bound = 225 / 64 / math.factorial(POINTS) * wavenumber**POINTS
    assert 0.5 * bound < error < 1.01 * bound


def test_continuous_across_the_nodes_of_every_table(trunk):
    for start, stop in bands_of(trunk):
        nodes = torch.arange(start + 1, stop - 1, dtype=torch.float64)
        jump = trunk(nodes + 1e-6) - trunk(nodes - 1e-6)
        assert jump.abs().max() < 1e-4


@pytest.mark.parametrize("band", range(3))
def test_nothing_reaches_across_a_hole(band):
    """Whatever other bands hold, this one is the same, up to both of its ends."""
    trunk = random_trunk(SAMPLES, STARTS["three bands"])
    start, stop = bands_of(trunk)[band]
    place = torch.linspace(start, stop - 1, 999, dtype=torch.float64)
    before = trunk(place)
    mine = torch.zeros(SAMPLES, dtype=torch.bool)
    mine[start:stop] = True
    trunk.fine.data[~mine] = torch.nan
    for table, used in zip(trunk.coarse, nodes_of(trunk, band), strict=True):
        kept = table.data[used].clone()
        table.data.fill_(torch.nan)
        table.data[used] = kept
    assert torch.equal(trunk(place), before)


def nodes_of(trunk, band):
    """Rows of every coarse table that belong to a band: one more than cover its samples."""
    for stride in trunk.strides:
        counts = [math.floor((stop - start - 1) / stride) + 2 for start, stop in bands_of(trunk)]
        yield slice(sum(counts[:band]), sum(counts[: band + 1]))


def test_every_parameter_learns(trunk):
    trunk.table().square().sum().backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_short_bands_are_refused():
    with pytest.raises(
        ValueError, match=r"every band needs at least 6 samples, got bands of \[95, 5\]; drop"
    ):
        Trunk(100, 3, starts=(0, 95))
