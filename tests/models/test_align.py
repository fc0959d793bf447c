"""The loss that teaches a morph: its lowest point, what it ignores, and what it costs to do nothing."""

import pytest
import torch

from synth2obs.models.alignment.conditional import FLOOR, alignment, precision_of
from synth2obs.models.alignment.flow import FlowConfig
from synth2obs.models.alignment.morph import Morph

DIM = 4


def sample(count=200, seed=0):
    random = torch.Generator().manual_seed(seed)
    source = torch.randn(count, DIM, generator=random, dtype=torch.float64)
    covariance = 0.01 * torch.eye(DIM, dtype=torch.float64).expand(count, -1, -1)
    return random, source, precision_of(covariance)


def morph():
    torch.manual_seed(0)
    return Morph(DIM, FlowConfig(layers=2, hidden=8)).double()


def test_the_identity_costs_nothing_where_nothing_changed():
    random, source, precision = sample()
    probes = torch.randn((3, *source.shape), generator=random, dtype=torch.float64)
    found = alignment(morph(), source, source, precision, probes)
    assert all(term.item() == 0.0 for term in found)
    assert found.total(0.3, 3.0, DIM).item() == 0.0


def test_a_shift_costs_what_its_definition_says():
    random, source, precision = sample()
    moved = morph()
    moved.set_affine(torch.eye(DIM, dtype=torch.float64), torch.full((DIM,), 0.5, dtype=torch.float64))
    probes = torch.randn((2, *source.shape), generator=random, dtype=torch.float64)
    found = alignment(moved, source, source, precision, probes)
    variance = 0.01 + FLOOR**2
    assert found.misfit.item() == pytest.approx(float(torch.log1p(torch.tensor(0.25 / variance))))
    assert found.displacement.item() == pytest.approx(DIM * 0.25)
    assert found.jacobian.item() == pytest.approx(0.0, abs=1e-12)
    assert found.total(0.4, 1.0, DIM).item() == pytest.approx(found.misfit.item() + 0.4 * 0.25)


def test_the_jacobian_term_is_that_of_a_scale():
    random, source, precision = sample(4000)
    moved = morph()
    moved.set_affine(1.2 * torch.eye(DIM, dtype=torch.float64), torch.zeros(DIM, dtype=torch.float64))
    probes = torch.randn((4, *source.shape), generator=random, dtype=torch.float64)
    found = alignment(moved, source, source, precision, probes)
    assert found.jacobian.item() == pytest.approx(DIM * 0.04, rel=0.05)


def test_precision_has_the_floor():
    covariance = torch.diag(torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64))[None]
    found = precision_of(covariance)[0].diagonal()
    assert torch.allclose(found, 1 / (torch.tensor([0.0, 0.1, 1.0]).double() + FLOOR**2))


def learn(source, u, precision, steps=150):
    moved, random = morph(), torch.Generator().manual_seed(1)
    optimizer = torch.optim.Adam(moved.parameters(), lr=2e-2)
    for _ in range(steps):
        probes = torch.randn((1, *source.shape), generator=random, dtype=torch.float64)
        loss = alignment(moved, source, u, precision, probes).total(0.01, 0.1, DIM)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return moved(source)[0] - source


def test_a_planted_shift_is_found_whatever_the_population():
    """Stars that are not drawn like the grid: a shift of the population is no shift of the morph."""
    random, _, precision = sample()
    source = 2.0 + 0.5 * torch.randn(200, DIM, generator=random, dtype=torch.float64)
    shift = torch.tensor([0.6, 0.0, -0.4, 0.0], dtype=torch.float64)
    u = source + shift + 0.1 * torch.randn(source.shape, generator=random, dtype=torch.float64)
    assert torch.allclose(learn(source, u, precision).mean(0), shift, atol=0.06)
    assert learn(source, u - shift, precision).mean(0).abs().max() < 0.06


def test_a_tenth_of_wrong_stars_does_not_pull():
    random, source, precision = sample()
    shift = torch.tensor([0.6, 0.0, 0.0, 0.0], dtype=torch.float64)
    u = source + shift + 0.1 * torch.randn(source.shape, generator=random, dtype=torch.float64)
    u[:20, 1] += 8.0
    found = learn(source, u, precision).median(0).values
    assert torch.allclose(found, shift, atol=0.1)
