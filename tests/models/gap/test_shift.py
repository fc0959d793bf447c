"""A shift of labels beside a gap: told apart where lines are wrong one by one, and not invented."""

import pytest
import torch

from synth2obs.models.contracts import LabelSlopes
from synth2obs.models.gap.features import polynomial
from synth2obs.models.gap.polynomial import LinearConfig, QuadraticConfig
from synth2obs.models.gap.posterior import gap_posterior

STARS, CELLS, LABELS = 90, 400, 2
TRUE = torch.tensor([[0.4, -0.2, 0.1], [-0.3, 0.0, 0.2]], dtype=torch.float64)


def simulate(wrong=0.2, shift=TRUE, seed=0, degree=1):
    """Residuals of a shift of labels, a gap in some cells, and noise."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    phi = polynomial(normal(STARS, 2), degree)[0]
    change = 0.02 * normal(LABELS, 1, CELLS) * (1.0 + 0.2 * normal(LABELS, STARS, 1))
    ivar = torch.full((STARS, CELLS), 1e4, dtype=torch.float64)
    gap = 0.05 * normal(phi.shape[1], CELLS) * (torch.rand(CELLS, generator=generator) < wrong)
    moved = torch.einsum("jnl,nj->nl", change, phi[:, :3] @ shift.T)
    noise = 0.01 * normal(STARS, CELLS)
    ivar[torch.rand(STARS, CELLS, generator=generator) < 0.2] = 0.0
    return moved + phi @ gap + noise, ivar, phi, LabelSlopes(change, 1.0), gap


def pulls(found, shift=TRUE):
    error = found.shift_covariance.diagonal().view_as(found.shift).sqrt()
    return (found.shift[:, :3] - shift) / error[:, :3]


def test_a_shift_is_told_from_lines_that_are_wrong_one_by_one():
    residual, ivar, phi, slopes, gap = simulate()
    found = gap_posterior(residual, ivar, phi, LinearConfig(learn_shift=True), slopes)
    assert pulls(found).abs().max() < 3.5
    blind = gap_posterior(residual, ivar, phi, LinearConfig())
    assert (found.mean - gap).square().mean() < 0.2 * (blind.mean - gap).square().mean()
    assert blind.shift.numel() == 0


def test_its_errors_hold_the_truth():
    inside = torch.cat(
        [
            pulls(
                gap_posterior(
                    *simulate(seed=seed)[:3], LinearConfig(learn_shift=True), simulate(seed=seed)[3]
                )
            )
            for seed in range(12)
        ]
    )
    assert 0.6 < float(inside.square().mean().sqrt()) < 1.5


def test_no_shift_is_invented():
    none = torch.zeros_like(TRUE)
    residual, ivar, phi, slopes, _ = simulate(wrong=0.0, shift=none)
    found = gap_posterior(residual, ivar, phi, LinearConfig(learn_shift=True), slopes)
    assert pulls(found, none).abs().max() < 3.5 and found.shift.abs().max() < 0.05
    assert found.mean.abs().max() < 0.005


def test_a_normal_prior_lets_the_gap_take_the_shift():
    """What tails are for: where all cells may be wrong alike, a few wrong lines hide the shift."""
    residual, ivar, phi, slopes, _ = simulate(wrong=0.15)
    sparse = gap_posterior(residual, ivar, phi, LinearConfig(learn_shift=True), slopes)
    dense = gap_posterior(residual, ivar, phi, LinearConfig(learn_shift=True, tails=1e6), slopes)
    size = [found.shift_covariance.diagonal().sqrt().mean() for found in (sparse, dense)]
    assert size[0] < 0.6 * size[1]


def test_blocks_masked_cells_and_order_of_stars_do_not_matter(monkeypatch):
    residual, ivar, phi, slopes, _ = simulate(degree=2)
    whole = gap_posterior(residual, ivar, phi, QuadraticConfig(learn_shift=True), slopes)
    order = torch.randperm(STARS, generator=torch.Generator().manual_seed(1))
    changed = torch.where(ivar > 0, residual, torch.nan)[order]
    monkeypatch.setattr("synth2obs.models.gap.posterior.BLOCK", 33 * STARS)
    own = slopes._replace(change=slopes.change[:, order])
    parts = gap_posterior(changed, ivar[order], phi[order], QuadraticConfig(learn_shift=True), own)
    torch.testing.assert_close(whole.shift, parts.shift)
    torch.testing.assert_close(whole.mean, parts.mean)
    torch.testing.assert_close(whole.covariance, parts.covariance)


def test_switched_off_it_is_the_gap_alone():
    residual, ivar, phi, slopes, _ = simulate()
    off = gap_posterior(residual, ivar, phi, LinearConfig(learn_shift=False), slopes)
    torch.testing.assert_close(off.mean, gap_posterior(residual, ivar, phi, LinearConfig()).mean)


def test_cells_that_err_together_widen_its_error():
    residual, ivar, phi, slopes, _ = simulate()
    one, four = (
        gap_posterior(
            residual, ivar, phi, LinearConfig(learn_shift=True), slopes._replace(samples=float(samples))
        )
        for samples in (1, 4)
    )
    ratio = four.shift_covariance.diagonal().sqrt() / one.shift_covariance.diagonal().sqrt()
    assert ratio.numpy() == pytest.approx(2.0, rel=0.1)
