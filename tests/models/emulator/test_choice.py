"""Choosing spectra: each the least certain once those before it are known."""

import torch

from synth2obs.models.emulator.choice import least_certain


def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.exp(-0.5 * torch.cdist(x, y).square())


def left(x: torch.Tensor, known: torch.Tensor, noise: float) -> torch.Tensor:
    """Posterior covariance of candidates given known places, by its definition."""
    gram = kernel(known, known) + noise * torch.eye(len(known), dtype=torch.float64)
    cross = kernel(x, known)
    return kernel(x, x) - cross @ torch.linalg.solve(gram, cross.T)


def test_each_choice_is_the_one_that_refitting_would_make():
    torch.manual_seed(1)
    x, known, noise = 3.0 * torch.randn(60, 2).double(), torch.randn(10, 2).double(), 1e-3
    chosen = least_certain(left(x, known, noise), noise, 8)
    for number, row in enumerate(chosen):
        places = torch.cat([known, x[chosen[:number]]])
        variance = left(x, places, noise).diagonal().clone()
        variance[chosen[:number]] = -torch.inf
        assert int(variance.argmax()) == int(row)


def test_far_candidates_come_first_and_none_twice():
    x = torch.tensor([[0.0], [0.1], [5.0], [5.1], [9.0]], dtype=torch.float64)
    chosen = least_certain(left(x, x[:1], 1e-6), 1e-6, 2)
    assert set(chosen.tolist()) <= {2, 3, 4}
    everything = least_certain(kernel(x, x), 1e-6, 10)
    assert sorted(everything.tolist()) == list(range(len(x)))


def test_nothing_is_chosen_where_nothing_is_left_to_learn():
    ones = torch.ones(4, 4, dtype=torch.float64)
    assert len(least_certain(ones, 0.0, 4)) == 1
