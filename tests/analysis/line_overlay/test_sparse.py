"""Spike and slab: the same as all sets one by one, where these can be counted."""

from itertools import combinations

import numpy as np
import pytest

from synth2obs.analysis.line_overlay.sparse import Problem, sparse_posterior

SIZE, DATA = 7, 40


def problem(seed, always=0):
    random = np.random.default_rng(seed)
    design = random.normal(size=(DATA, SIZE))
    design[:, 1] = 0.98 * design[:, 0] + 0.05 * design[:, 1]
    truth = np.where(random.random(SIZE) < 0.4, random.normal(0.0, 0.6, SIZE), 0.0)
    odds = np.full(SIZE, np.log(0.3 / 0.7))
    odds[:always] = np.inf
    data = design @ truth + random.normal(size=DATA)
    return Problem(design=design, data=data, width=np.full(SIZE, 0.6), log_odds=odds)


def every_set(one):
    """Weights, probabilities and means by counting all sets, from the marginal likelihood itself."""
    always = np.flatnonzero(np.isposinf(one.log_odds)).tolist()
    free = [n for n in range(SIZE) if n not in always]
    logs, means, sets = [], [], []
    for count in range(len(free) + 1):
        for some in combinations(free, count):
            chosen = sorted([*always, *some])
            x, width = one.design[:, chosen], one.width[chosen]
            covariance = np.eye(DATA) + (x * width**2) @ x.T
            log = -0.5 * one.data @ np.linalg.solve(covariance, one.data)
            log -= 0.5 * np.linalg.slogdet(covariance)[1]
            logs.append(log + one.log_odds[list(some)].sum())
            mean = np.zeros(SIZE)
            mean[chosen] = width**2 * (x.T @ np.linalg.solve(covariance, one.data))
            means.append(mean)
            sets.append(chosen)
    weight = np.exp(np.array(logs) - max(logs))
    weight /= weight.sum()
    inside = np.array([[n in chosen for n in range(SIZE)] for chosen in sets])
    return weight @ inside, weight @ np.array(means)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("always", [0, 2])
def test_probabilities_and_means_are_those_of_all_sets(seed, always):
    one = problem(seed, always)
    found = sparse_posterior(one)
    probability, mean = every_set(one)
    np.testing.assert_allclose(found.probability, probability, atol=3e-3)
    np.testing.assert_allclose(found.mean, mean, atol=3e-3)
    assert found.weight.sum() == pytest.approx(1.0) and (np.diff(found.weight) <= 0).all()
    assert np.linalg.eigvalsh(found.covariance).min() > -1e-9


def test_none_of_counts_sets_without_any(seed=1):
    found = sparse_posterior(problem(seed))
    assert found.none_of(np.arange(0)) == pytest.approx(1.0)
    for number in range(SIZE):
        assert found.none_of(np.array([number])) == pytest.approx(1.0 - found.probability[number])


def test_without_coefficients_there_is_one_set():
    nothing = Problem(design=np.zeros((3, 0)), data=np.ones(3), width=np.zeros(0), log_odds=np.zeros(0))
    found = sparse_posterior(nothing)
    assert found.sets == ((),) and found.mean.shape == (0,)
