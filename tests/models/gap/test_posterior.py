"""The gap: its limits, its calibration on placebo and on signal, and its module."""

from inspect import unwrap

import numpy as np
import pytest
import torch

from synth2obs.models.gap import GAPS
from synth2obs.models.gap.features import polynomial
from synth2obs.models.gap.polynomial import ConstantGap, LinearConfig, LinearGap, QuadraticGap
from synth2obs.models.gap.posterior import gap_posterior
from synth2obs.models.gap.reading import LabelReading

STARS, CELLS = 120, 600


def features_of(values, degree=1):
    return polynomial(values, degree)[0]


def fit_gap(residual, ivar, features, config=None):
    return gap_posterior(residual, ivar, features, config or LinearConfig())


def linear_gap(cells, **settings):
    return LinearGap(LabelReading(6), cells, LinearConfig(**settings))


NORMAL = 1e6
"""Degrees of freedom of a Student t that is a normal distribution."""

FIXED = {"learn_scale": False, "learn_scatter": False, "evidence_steps": 0}


def simulate(scale=0.0, scatter=0.0, seed=0, masked=0.2):
    """Residuals of a gap drawn from the prior, with noise of known ivar and masked pixels."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    features = features_of(normal(STARS, 2))
    ivar = 1e4 * (1 + 3 * torch.rand(STARS, CELLS, generator=generator, dtype=torch.float64))
    truth = scale * normal(3, CELLS)
    noise = (1 / ivar + scatter**2).sqrt() * normal(STARS, CELLS)
    ivar[torch.rand(STARS, CELLS, generator=generator) < masked] = 0.0
    return features @ truth + noise, ivar, features, truth


def errors(fit):
    return fit.covariance.diagonal(dim1=1, dim2=2).T.sqrt()


class TestFit:
    @pytest.mark.parametrize("tails", [1.0, NORMAL])
    @pytest.mark.parametrize("scatter", [0.0, 0.02])
    def test_covers_the_truth(self, scatter, tails):
        residual, ivar, features, truth = simulate(scale=0.01, scatter=scatter)
        fit = fit_gap(residual, ivar, features, LinearConfig(tails=tails))
        z = ((fit.mean - truth) / errors(fit)).abs()
        for limit, expected in ((1.0, 0.6827), (1.96, 0.95)):
            binomial = (expected * (1 - expected) / z.numel()) ** 0.5
            assert abs((z < limit).double().mean() - expected) < 4 * binomial + 0.01
        assert abs(fit.prior_variance.mean().sqrt() / 0.01 - 1) < (0.1 if tails == NORMAL else 0.25)
        assert (fit.log_evidence - fit.log_evidence_null).mean() > 10

    def test_placebo_is_consistent_with_zero(self):
        residual, ivar, features, _ = simulate()
        fit = fit_gap(residual, ivar, features)
        free = fit_gap(residual, ivar, features, LinearConfig(scale=1e3, **FIXED))
        assert (fit.mean / errors(fit)).square().mean() < 0.5
        assert fit.mean.square().mean() < 0.1 * free.mean.square().mean()
        assert (fit.log_evidence - fit.log_evidence_null).mean() < 0.1

    def test_placebo_without_learning_has_chi2_of_its_degrees_of_freedom(self):
        residual, ivar, features, _ = simulate()
        fit = fit_gap(residual, ivar, features, LinearConfig(scale=1e3, **FIXED))
        chi2 = torch.einsum("fl,lfg,gl->l", fit.mean, torch.linalg.inv(fit.covariance), fit.mean)
        assert abs(chi2.mean() - 3) < 4 * (2 * 3 / CELLS) ** 0.5

    def test_scatter_is_found_and_not_invented(self):
        for scatter in (0.0, 0.02):
            residual, ivar, features, _ = simulate(scale=0.01, scatter=scatter)
            found = fit_gap(residual, ivar, features).scatter
            # Variances are at least 0, so noise of 1e-4 to 2.5e-5 leaves a small positive mean.
            assert abs(found.mean() - scatter**2) < 0.03 * scatter**2 + 2e-6

    def test_strong_prior_gives_zero(self):
        residual, ivar, features, _ = simulate(scale=0.05)
        fit = fit_gap(residual, ivar, features, LinearConfig(scale=0.0, **FIXED))
        assert (fit.mean == 0).all() and (fit.covariance == 0).all()
        torch.testing.assert_close(fit.log_evidence, fit.log_evidence_null)

    def test_weak_prior_gives_weighted_least_squares(self):
        residual, ivar, features, _ = simulate(scale=0.05)
        fit = fit_gap(residual, ivar, features, LinearConfig(scale=1e4, **FIXED))
        for cell in (0, 17, CELLS - 1):
            root = ivar[:, cell].sqrt()
            expected = np.linalg.lstsq(
                (root[:, None] * features).numpy(), (root * residual[:, cell]).numpy(), rcond=None
            )[0]
            np.testing.assert_allclose(fit.mean[:, cell], expected, rtol=1e-6)

    def test_evidence_is_that_of_the_marginal_normal(self):
        residual, ivar, features, _ = simulate(scale=0.01, masked=0.0)
        fit = fit_gap(residual, ivar, features, LinearConfig(scale=0.02, scatter=0.01, **FIXED))
        covariance = 0.02**2 * features @ features.T + torch.diag(1 / ivar[:, 5] + 0.01**2)
        marginal = torch.distributions.MultivariateNormal(torch.zeros_like(residual[:, 5]), covariance)
        torch.testing.assert_close(fit.log_evidence[5], marginal.log_prob(residual[:, 5]))

    @pytest.mark.parametrize("value", [1e9, float("nan")])
    def test_masked_pixels_do_not_count(self, value):
        residual, ivar, features, _ = simulate(scale=0.01)
        changed = torch.where(ivar > 0, residual, value)
        for one, two in zip(fit_gap(residual, ivar, features), fit_gap(changed, ivar, features), strict=True):
            assert torch.equal(one, two)

    def test_cell_that_nobody_sees_keeps_the_prior(self):
        residual, ivar, features, _ = simulate(scale=0.01)
        ivar[:, 7] = 0.0
        fit = fit_gap(residual, ivar, features)
        assert (fit.mean[:, 7] == 0).all() and fit.log_evidence[7] == 0
        torch.testing.assert_close(fit.covariance[7], torch.diag(fit.prior_variance[:, 7]))
        everything = fit_gap(residual, torch.zeros_like(ivar), features)
        assert (everything.mean == 0).all() and torch.isfinite(everything.covariance).all()

    def test_order_of_stars_and_size_of_blocks_do_not_matter(self, monkeypatch):
        residual, ivar, features, _ = simulate(scale=0.01)
        whole = fit_gap(residual, ivar, features)
        order = torch.randperm(STARS, generator=torch.Generator().manual_seed(0))
        monkeypatch.setattr("synth2obs.models.gap.posterior.BLOCK", 37 * STARS)
        parts = fit_gap(residual[order], ivar[order], features[order])
        torch.testing.assert_close(whole.mean, parts.mean)
        torch.testing.assert_close(whole.log_evidence, parts.log_evidence)

    def test_quiet_stretch_is_shrunk_and_loud_one_is_not(self):
        residual, ivar, features, truth = simulate(scale=0.02)
        quiet = torch.arange(CELLS) < CELLS // 2
        residual = residual - features @ (truth * quiet)
        fit = fit_gap(residual, ivar, features, LinearConfig(window=50, tails=NORMAL))
        inner, outer = fit.prior_variance[:, 30:270].sqrt(), fit.prior_variance[:, 330:].sqrt()
        assert inner.mean() < 5e-4 and abs(outer.mean() / 0.02 - 1) < 0.1

    def test_bad_input_names_itself(self):
        residual, ivar, features, _ = simulate()
        with pytest.raises(ValueError, match="ivar must be finite and >= 0"):
            fit_gap(residual, -ivar, features)
        with pytest.raises(ValueError, match=r"need residual \(N, L\)"):
            unwrap(gap_posterior)(residual, ivar, features[1:], LinearConfig())
        with pytest.raises(ValueError, match="features must be finite"):
            fit_gap(residual, ivar, features / 0)
        with pytest.raises(ValueError, match="window"):
            LinearConfig(window=0)


class TestGap:
    def test_starts_at_zero_with_the_prior(self):
        gap, features = linear_gap(10, scale=0.1), torch.tensor([[1.0, 2.0, 2.0, 0.0]])
        assert (gap(features) == 0).all()
        torch.testing.assert_close(gap.variance(features), torch.full((1, 10), 0.01 * 9))

    def test_takes_over_a_posterior(self):
        residual, ivar, features, _ = simulate(scale=0.01)
        features = torch.cat([features, torch.zeros_like(features[:, :1])], dim=1)
        fit, gap = fit_gap(residual, ivar, features), linear_gap(CELLS).double()
        gap.update(fit)
        torch.testing.assert_close(gap(features), features @ fit.mean)
        expected = torch.einsum("bf,lfg,bg->bl", features, fit.covariance, features)
        torch.testing.assert_close(gap.variance(features), expected)
        torch.testing.assert_close(gap.scatter, fit.scatter)

    def test_refuses_a_posterior_of_other_cells(self):
        residual, ivar, features, _ = simulate()
        with pytest.raises(ValueError, match="build the gap"):
            linear_gap(5).update(fit_gap(residual, ivar, features, LinearConfig(**FIXED)))

    def test_slopes_have_the_names_of_labels(self):
        gap = QuadraticGap(LabelReading(6), 5)
        gap.mean.copy_(torch.arange(50.0).view(10, 5))
        assert list(gap.slopes()) == ["5040 K / teff", "logg", "fe_h"]
        assert torch.equal(gap.slopes()["fe_h"], gap.mean[3])
        assert not ConstantGap(LabelReading(6), 5).slopes()


def test_polynomial():
    y = torch.tensor([[2.0, 3.0]])
    assert features_of(y, 0).tolist() == [[1.0]]
    assert features_of(y).tolist() == [[1.0, 2.0, 3.0]]
    assert features_of(y, 2).tolist() == [[1.0, 2.0, 3.0, 4.0, 6.0, 9.0]]
    with pytest.raises(ValueError, match="degree"):
        features_of(y, 3)


@pytest.mark.parametrize("count", [1, 4])
def test_a_gap_that_makes_do_with_fewer_features_is_the_smaller_gap(count):
    random = torch.Generator().manual_seed(0)
    labels = torch.randn(40, 3, generator=random, dtype=torch.float64)
    features = polynomial(labels, 2)[0]
    residual = 0.05 * torch.randn(40, 7, generator=random, dtype=torch.float64)
    ivar = torch.full_like(residual, 400.0)
    small, large = (
        GAPS[name](LabelReading(6), 7) for name in ({1: "constant", 4: "linear"}[count], "quadratic")
    )
    large.use(count)
    for gap in (small, large):
        gap.update(gap.posterior(residual, ivar, features[:, : gap.size]))
    assert torch.equal(large.mean[:count], small.mean) and not large.mean[count:].any()
    torch.testing.assert_close(
        large.variance(features.float()), small.variance(features[:, :count].float()), rtol=1e-4, atol=1e-9
    )


def test_a_size_that_a_gap_has_not_is_refused():
    with pytest.raises(ValueError, match=r"sizes \(1, 4, 10\), not 2"):
        GAPS["quadratic"](LabelReading(6), 7).use(2)
