"""Laws of the map from a sharp survey's rest grid to a blunter one's."""

import numpy as np
import pytest
import torch

from synth2obs.core.wavelengths import log_grid
from synth2obs.models.gap.smoothing import finest, smoothing

STEP = 1e-4
REST = torch.from_numpy(log_grid(5000.0, 5300.0, STEP))
INNER = slice(60, -60)


def constant(value, grid=REST):
    return torch.full((len(grid),), value, dtype=torch.float64)


def onto(sigma, grid=REST, before=3e-4):
    """From a resolution of σ = `before` in ln λ on `REST`."""
    return smoothing(REST, grid, constant(before), constant(sigma, grid))


def waves(grid, period):
    return torch.sin(2 * torch.pi * grid.log()[:, None] / period)


def random(rows, columns=2):
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("sigma", [3e-4, 1e-4])
def test_what_is_no_blunter_is_not_changed(sigma):
    values = random(len(REST))
    assert torch.equal(onto(sigma)(values), values)


def test_two_in_a_row_are_one_of_the_sum_of_variances():
    values, first, second = random(len(REST)), onto(5e-4), onto(np.sqrt(5**2 + 3**2) * 1e-4, before=5e-4)
    whole = onto(np.sqrt(5**2 + 3**2) * 1e-4)
    torch.testing.assert_close(second(first(values))[INNER], whole(values)[INNER], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("period", [8e-4, 3e-3, 2e-2])
def test_waves_keep_the_share_that_is_said(period):
    there, number = onto(5e-4), 2 * np.pi * STEP / period
    middle = torch.arange(len(REST))
    kept = there.kept(torch.full((len(REST),), number, dtype=torch.float64), middle)[:, None]
    found = there(waves(REST, period))
    torch.testing.assert_close(found[INNER], (kept * waves(REST, period))[INNER], rtol=0, atol=1e-7)
    gaussian = np.exp(-0.5 * (2 * np.pi * 4e-4 / period) ** 2)
    assert float(kept[0, 0]) == pytest.approx(gaussian, abs=0.005)


@pytest.mark.parametrize("step", [0.37e-4, 1e-4, 2.7e-4])
def test_other_grids_see_the_same_spectrum(step):
    grid = torch.from_numpy(log_grid(4990.0, 5250.0, step))
    there = onto(6e-4, grid)
    expected = np.exp(-0.5 * (2 * np.pi / 10e-3) ** 2 * (36 - 9) * 1e-8) * waves(grid, 10e-3)
    inside = there.reached & (grid > 5050) & (grid < 5240)
    torch.testing.assert_close(there(waves(REST, 10e-3))[inside], expected[inside], rtol=0, atol=2e-3)
    assert torch.equal(there.reached, grid >= 5000.0)
    ratio = there.density[(REST > 5010) & (REST < 5240)]
    torch.testing.assert_close(ratio, torch.full_like(ratio, STEP / step))


def test_constants_stay_up_to_the_edges_and_holes_are_not_crossed():
    rest = REST[(REST < 5100) | (REST > 5150)]
    there = smoothing(rest, REST, constant(1e-4, rest), constant(8e-4))
    hole = (REST > 5100.01) & (REST < 5149.99)
    assert torch.equal(there.reached, ~hole)
    ones = there(torch.ones(len(rest), 1, dtype=torch.float64))[:, 0]
    torch.testing.assert_close(ones, there.reached.double())
    red = there((rest > 5120).double()[:, None])[:, 0]
    assert not red[REST < 5100].any()


def test_the_adjoint_is_the_transpose():
    grid = torch.from_numpy(log_grid(5010.0, 5250.0, 2.7e-4))
    there, left, right = onto(5e-4, grid), random(len(grid)), random(len(REST))
    torch.testing.assert_close((left * there(right)).sum(), (there.adjoint(left) * right).sum())
    squares = there.matrix.to_dense().square()
    torch.testing.assert_close(there.power(right), squares @ right)
    torch.testing.assert_close(there.power_adjoint(left), squares.T @ left)


def test_a_width_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="blunt_sigma"):
        smoothing(REST, REST, constant(1e-4), constant(float("nan")))


def test_the_finest_grid_has_the_cells_of_the_finer_one_where_there_are_two():
    fine, wide = log_grid(5100.0, 5200.0, 0.2e-4), log_grid(5000.0, 5300.0, 1e-4)
    found = finest([torch.from_numpy(wide), torch.from_numpy(fine)]).numpy()
    assert np.array_equal(found[(found >= fine[0]) & (found <= fine[-1])], fine)
    outside = (wide < fine[0]) | (wide > fine[-1])
    assert np.array_equal(found[(found < fine[0]) | (found > fine[-1])], wide[outside])
