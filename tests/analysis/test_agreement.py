"""Two posteriors under one prior are as far apart as `difference_covariance` says, and less than their sum."""

import numpy as np
import pytest
import torch

from synth2obs.analysis.agreement import difference_covariance, sampling_covariance, spread, whitened

SIZE, DRAWS = 6, 4000


def information(seed: int, strength: float) -> torch.Tensor:
    """Λ of a measurement: some directions well known, some hardly at all."""
    random = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(torch.randn(SIZE, SIZE, generator=random, dtype=torch.float64)).Q
    return vectors @ torch.diag(strength * torch.logspace(-2, 2, SIZE, dtype=torch.float64)) @ vectors.T


def measured(info: torch.Tensor, prior: torch.Tensor, truth: torch.Tensor, seed: int, noise: float = 1.0):
    """Posterior means (N, Q) of noisy measurements of truths (N, Q), and the posterior's covariance."""
    random = torch.Generator().manual_seed(seed)
    factor = torch.linalg.cholesky(torch.linalg.inv(info)) * noise**0.5
    data = truth + torch.randn(truth.shape, generator=random, dtype=torch.float64) @ factor.T
    covariance = torch.linalg.inv(info + prior)
    return data @ info @ covariance, covariance.expand(len(truth), -1, -1)


@pytest.fixture(scope="module")
def truth():
    return torch.randn(DRAWS, SIZE, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("noise", [1.0, 2.5])
def test_simulated_twins_have_a_width_of_one(truth, noise):
    prior = torch.eye(SIZE, dtype=torch.float64)
    one, first = measured(information(1, 1.0), prior, truth, 11, noise)
    two, second = measured(information(2, 0.3), prior, truth, 12)
    scales = torch.stack([torch.full((DRAWS,), noise), torch.ones(DRAWS)]).double()
    pulls = whitened(two - one, difference_covariance(first, second, prior, scales))
    assert float(pulls.std()) == pytest.approx(1.0, abs=0.02)
    assert spread(pulls.flatten().numpy()) == pytest.approx(1.0, abs=0.02)
    assert np.abs(np.cov(pulls.T.numpy()) - np.eye(SIZE)).max() < 0.08


def test_the_sum_of_posteriors_is_too_large_where_the_prior_speaks(truth):
    prior = torch.eye(SIZE, dtype=torch.float64)
    one, first = measured(information(1, 0.1), prior, truth, 11)
    two, second = measured(information(2, 0.1), prior, truth, 12)
    assert float(whitened(two - one, first + second).std()) < 0.8


def test_where_nothing_is_known_nothing_differs():
    prior = torch.eye(SIZE, dtype=torch.float64)
    unknown = prior.expand(2, -1, -1)
    assert not difference_covariance(unknown, unknown, prior).any()
    assert torch.isnan(whitened(torch.zeros(2, SIZE).double(), torch.zeros(2, SIZE, SIZE).double())).all()


def test_without_a_prior_it_is_the_sum():
    first, second = (torch.linalg.inv(information(seed, 1.0))[None] for seed in (1, 2))
    found = difference_covariance(first, second, torch.zeros(SIZE, SIZE, dtype=torch.float64))
    torch.testing.assert_close(found, first + second)


def test_rounding_makes_no_negative_variance():
    prior = torch.eye(SIZE, dtype=torch.float64)
    wide = (1.0 + 1e-3) * prior[None]
    assert float(torch.linalg.eigvalsh(sampling_covariance(wide, prior)).min()) >= 0.0


def test_what_is_not_known_does_not_count():
    assert spread(np.array([np.nan, 1.0, -1.0])) == pytest.approx(1.4826, abs=1e-3)
    assert np.isnan(spread(np.array([np.nan])))
