"""The labels of a survey's stars: errors are taken out, and a flow has to earn its place."""

import numpy as np
import pytest
import torch

from synth2obs.models.priors.label_density import FLOW, GAUSSIAN, drawn, learn_density

COUNT, ERROR = 600, 0.5


def truth(count, seed):
    """A giant branch and a main sequence: two curved strips."""
    random = np.random.default_rng(seed)
    giant = random.random(count) < 0.4
    x = random.normal(size=count) * 0.6 + np.where(giant, 0.8, -0.6)
    y = np.where(giant, 1.2 - 0.8 * x**2, -1.0) + 0.1 * random.normal(size=count)
    return torch.tensor(np.stack([x, y, 0.5 * random.normal(size=count)], axis=1))


def measured(values, error, seed):
    """Posteriors of measurements with a normal error, under a flat prior."""
    random = torch.Generator().manual_seed(seed)
    seen = values + error * torch.randn(values.shape, generator=random, dtype=torch.float64)
    return drawn(seen, error**2 * torch.eye(3).double().expand(len(seen), 3, 3), 32, random)


@pytest.fixture(scope="module")
def learned():
    return learn_density(measured(truth(COUNT, 0), ERROR, 1))


def test_a_flow_finds_two_strips_under_their_errors(learned):
    """Stars that nobody measured are more probable than by the best normal distribution, and than as measured."""
    assert learned.density.config == FLOW
    new = truth(2000, 5)
    as_measured = measured(truth(COUNT, 0), ERROR, 1)[:, 0]
    normal = torch.distributions.MultivariateNormal(as_measured.mean(0), torch.cov(as_measured.T))
    with torch.no_grad():
        assert learned.density.log_prob(new).mean() > normal.log_prob(new).mean() + 0.3
        spread = learned.density.sample(4000, torch.Generator().manual_seed(0)).std(0)
    assert spread[2] == pytest.approx(0.5, abs=0.12)  # 0.71 as measured


def test_normal_stars_need_no_flow():
    random = torch.Generator().manual_seed(3)
    values = torch.randn(200, 3, generator=random, dtype=torch.float64)
    assert learn_density(measured(values, 0.3, 4)).density.config == GAUSSIAN


def test_the_same_stars_have_the_same_density():
    one, two = (learn_density(measured(truth(30, 0), ERROR, 1)).density.parameters() for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_draws_have_the_covariance_of_the_posterior():
    covariance = torch.tensor([[1.0, 0.6], [0.6, 0.5]]).double()
    draws = drawn(
        torch.tensor([[1.0, -2.0]]).double(), covariance[None], 20000, torch.Generator().manual_seed(0)
    )[0]
    torch.testing.assert_close(torch.cov(draws.T), covariance, atol=0.03, rtol=0)
    torch.testing.assert_close(draws.mean(0), torch.tensor([1.0, -2.0]).double(), atol=0.03, rtol=0)
