"""The continuum in closed form."""

import pytest
import torch
from torch.autograd import gradcheck

from synth2obs.physics import chebyshev_basis, profile_continuum
from synth2obs.physics.continuum import common_basis

WAVE = torch.cat(
    [torch.linspace(4800, 4900, 60, dtype=torch.float64), torch.linspace(5000, 5200, 80, dtype=torch.float64)]
)
SEGMENT = torch.cat([torch.zeros(60), torch.full((80,), 3.0)]).long()
BASIS = chebyshev_basis(WAVE, SEGMENT, 3)


def star(batch: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Model, true coefficients, flux without noise, ivar."""
    random = torch.Generator().manual_seed(3)
    model = 1.0 - 0.5 * torch.rand(batch, 140, generator=random, dtype=torch.float64)
    truth = torch.randn(batch, 8, generator=random, dtype=torch.float64)
    truth[:, [0, 4]] += 4.0
    ivar = torch.rand(batch, 140, generator=random, dtype=torch.float64) + 0.5
    return model, truth, model * (BASIS @ truth.T).T, ivar


def test_basis_is_zero_outside_its_segment_and_chebyshev_inside():
    assert BASIS.shape == (140, 8)
    assert not BASIS[:60, 4:].any() and not BASIS[60:, :4].any()
    x = torch.linspace(-1, 1, 60, dtype=torch.float64)
    for degree in range(4):
        torch.testing.assert_close(BASIS[:60, degree], torch.cos(degree * torch.arccos(x)))


def test_basis_of_own_pixels():
    both = chebyshev_basis(torch.stack([WAVE, 1.01 * WAVE]), SEGMENT, 2)
    torch.testing.assert_close(both[0], BASIS[:, [0, 1, 2, 4, 5, 6]])
    torch.testing.assert_close(both[0], both[1])


def test_order_zero_is_one_factor_per_segment():
    assert torch.equal(chebyshev_basis(WAVE, SEGMENT, 0).sum(1), torch.ones(140, dtype=torch.float64))


@pytest.mark.parametrize("unit", [1.0, 1e-17, 1e5])
def test_finds_the_truth_in_any_unit(unit):
    model, truth, flux, ivar = star()
    coefficients, continuum = profile_continuum(model, unit * flux, ivar / unit**2, BASIS)
    torch.testing.assert_close(coefficients / unit, truth, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(continuum * model / unit, flux, rtol=1e-7, atol=1e-7)


def test_is_the_weighted_least_squares_solution():
    model, _, flux, ivar = star()
    flux = flux + torch.randn(flux.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    coefficients, _ = profile_continuum(model, flux, ivar, BASIS, ridge=1e-14)
    root = ivar.sqrt()[..., None]
    expected = torch.linalg.lstsq(root * model[..., None] * BASIS, root * flux[..., None]).solution[..., 0]
    torch.testing.assert_close(coefficients, expected, rtol=1e-8, atol=1e-10)


def test_masked_pixels_take_no_part_even_as_nan():
    model, _, flux, ivar = star()
    ivar[:, 10:30] = 0.0
    before = profile_continuum(model, flux, ivar, BASIS)
    spoiled, other = flux.clone(), model.clone().requires_grad_()
    spoiled[:, 10:30] = torch.nan
    after = profile_continuum(other, spoiled, ivar, BASIS)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    after[0].sum().backward()
    assert torch.isfinite(other.grad).all() and not other.grad[:, 10:30].any()


def test_a_segment_without_pixels_leaves_the_other_alone():
    model, truth, flux, ivar = star()
    ivar[0, :60] = 0.0
    ivar[1] = 0.0
    coefficients, continuum = profile_continuum(model, flux, ivar, BASIS)
    torch.testing.assert_close(coefficients[0, 4:], truth[0, 4:], rtol=1e-7, atol=1e-7)
    assert not coefficients[0, :4].any() and not coefficients[1].any()
    assert torch.isfinite(continuum).all()


def test_gradients_match_finite_differences():
    model, _, flux, ivar = star(1)
    model, flux = model.requires_grad_(), flux.requires_grad_()
    assert gradcheck(lambda m, f: profile_continuum(m, f, ivar, BASIS), (model, flux), fast_mode=True)


def test_single_precision_stays_close_and_keeps_its_type():
    model, _, flux, ivar = star()
    _, double = profile_continuum(model, flux, ivar, BASIS)
    _, single = profile_continuum(model.float(), flux.float(), ivar.float(), BASIS.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=1e-5, atol=1e-5)


def test_errors_name_argument_and_remedy():
    model, _, flux, ivar = star(1)
    with pytest.raises(ValueError, match="ridge must be > 0"):
        profile_continuum(model, flux, ivar, BASIS, ridge=0.0)
    with pytest.raises(ValueError, match="order must be >= 0"):
        chebyshev_basis(WAVE, SEGMENT, -1)
    with pytest.raises(ValueError, match="wavelength in Å"):
        chebyshev_basis(WAVE * torch.nan, SEGMENT, 1)


class TestCommonBasis:
    def test_is_one_where_pixels_are_uniform_for_every_star(self):
        wavelength = (
            5000.0 + 0.05 * torch.arange(200, dtype=torch.float64) + torch.tensor([[0.0], [3.0], [-7.0]])
        )
        segment = (torch.arange(200) >= 120).long()
        basis = chebyshev_basis(wavelength, segment, 4)
        assert common_basis(basis).shape == basis.shape[1:]
        torch.testing.assert_close(common_basis(basis).expand_as(basis), basis, rtol=0, atol=1e-6)

    def test_stays_where_they_are_not(self):
        wavelength = 5000.0 * torch.exp(1e-3 * torch.linspace(0, 1, 100, dtype=torch.float64))
        wavelength = torch.stack([wavelength, 5000.0 + torch.arange(100, dtype=torch.float64)])
        basis = chebyshev_basis(wavelength, torch.zeros(100), 4)
        assert common_basis(basis) is basis
