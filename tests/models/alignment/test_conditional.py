"""The loss that teaches a morph: its lowest point, what it ignores, and what it costs to do nothing."""

import pytest
import torch

from synth2obs.models.alignment.conditional import ConditionalConfig, ConditionalMorph
from synth2obs.models.alignment.learn import FLOOR, precision_of, teach
from synth2obs.models.contracts import EncodedStars

DIM = 4


def sample(count=200, seed=0):
    random = torch.Generator().manual_seed(seed)
    source = torch.randn(count, DIM, generator=random, dtype=torch.float64)
    covariance = 0.01 * torch.eye(DIM, dtype=torch.float64).expand(count, -1, -1)
    return random, source, precision_of(covariance)


def morph(**settings):
    torch.manual_seed(0)
    return ConditionalMorph(DIM, ConditionalConfig(layers=2, hidden=8, **settings)).double()


def set_affine(moved, matrix, shift):
    moved.chain._transforms[0].set(matrix, shift)


def test_the_identity_costs_nothing_where_nothing_changed():
    random, source, precision = sample()
    probes = torch.randn((3, *source.shape), generator=random, dtype=torch.float64)
    total, terms = morph().loss(EncodedStars(source, source, precision), probes)
    assert all(term.item() == 0.0 for term in terms.values())
    assert total.item() == 0.0


def test_a_shift_costs_what_its_definition_says():
    random, source, precision = sample()
    moved = morph(displacement=0.4, jacobian=1.0)
    set_affine(moved, torch.eye(DIM, dtype=torch.float64), torch.full((DIM,), 0.5, dtype=torch.float64))
    probes = torch.randn((2, *source.shape), generator=random, dtype=torch.float64)
    total, terms = moved.loss(EncodedStars(source, source, precision), probes)
    variance = 0.01 + FLOOR**2
    assert terms["misfit"].item() == pytest.approx(float(torch.log1p(torch.tensor(0.25 / variance))))
    assert terms["displacement"].item() == pytest.approx(DIM * 0.25)
    assert terms["jacobian"].item() == pytest.approx(0.0, abs=1e-12)
    assert total.item() == pytest.approx(terms["misfit"].item() + 0.4 * 0.25)


def test_the_jacobian_term_is_that_of_a_scale():
    random, source, precision = sample(4000)
    moved = morph()
    set_affine(moved, 1.2 * torch.eye(DIM, dtype=torch.float64), torch.zeros(DIM, dtype=torch.float64))
    probes = torch.randn((4, *source.shape), generator=random, dtype=torch.float64)
    total, terms = moved.loss(EncodedStars(source, source, precision), probes)
    assert terms["jacobian"].item() == pytest.approx(DIM * 0.04, rel=0.05)


def test_precision_has_the_floor():
    covariance = torch.diag(torch.tensor([0.0, 0.1, 1.0], dtype=torch.float64))[None]
    found = precision_of(covariance)[0].diagonal()
    assert torch.allclose(found, 1 / (torch.tensor([0.0, 0.1, 1.0]).double() + FLOOR**2))


def learn(source, u, precision):
    moved, random = morph(displacement=0.01, jacobian=0.1, steps=150, learning_rate=2e-2), torch.Generator()
    teach(moved, EncodedStars(source, u, precision), moved.config, random.manual_seed(1))
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
