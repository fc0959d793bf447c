"""The morph and the density: what is not a law."""

import pytest
import torch

from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.alignment.conditional import ConditionalConfig, ConditionalMorph
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.alignment.flow import AffineMap, FlowConfig
from synth2obs.models.alignment.settings import DensityConfig

SMALL = ConditionalConfig(layers=4, hidden=16)


@pytest.fixture(autouse=True)
def seed():
    """Modules draw their first weights from the global generator."""
    torch.manual_seed(0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_linear_morph_is_exactly_expressible():
    noise = torch.randn(6, 6, generator=generator(), dtype=torch.float64)
    matrix, shift = torch.eye(6, dtype=torch.float64) + 0.2 * noise, noise[0]
    morph = ConditionalMorph(6, SMALL).double()
    morph.chain._transforms[0].set(matrix, shift)
    u = torch.randn(32, 6, generator=generator(1), dtype=torch.float64)
    v, logabsdet = morph(u)
    torch.testing.assert_close(v, u @ matrix.T + shift)
    torch.testing.assert_close(logabsdet, torch.linalg.slogdet(matrix).logabsdet.expand(32))


def test_orientation_reversal_is_refused():
    with pytest.raises(ValueError, match="leading minor 2"):
        AffineMap(2).set(torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.zeros(2))


def test_minimal_change_of_a_linear_morph_is_known():
    matrix = torch.eye(4, dtype=torch.float64) + 0.1 * torch.arange(16.0, dtype=torch.float64).view(4, 4) / 16
    morph = ConditionalMorph(4, SMALL).double()
    morph.chain._transforms[0].set(matrix, torch.full((4,), 0.5, dtype=torch.float64))
    u = torch.zeros(8, 4, dtype=torch.float64)
    change = minimal_change(morph, u)
    expected = (matrix - torch.eye(4)).square().sum()
    torch.testing.assert_close(change["displacement"], torch.tensor(1.0, dtype=torch.float64))
    torch.testing.assert_close(change["jacobian"], expected)
    probes = torch.randn(4000, 8, 4, generator=generator(), dtype=torch.float64).sign()
    estimate = minimal_change(morph, u, probes[:500])["jacobian"]
    assert abs(estimate / expected - 1) < 0.1


def test_minimal_change_works_where_gradients_are_off():
    with torch.no_grad():
        change = minimal_change(ConditionalMorph(4, SMALL), torch.ones(3, 4))
    assert change["displacement"] == 0 and change["jacobian"] == 0


def test_sampling_is_reproducible_and_leaves_the_global_generator_alone():
    density = FlowDensity(3)
    state = torch.get_rng_state()
    first, again = (density.sample(5, generator(7)) for _ in range(2))
    assert first.shape == (5, 3) and torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), state)


def test_density_learns_a_curved_population():
    noise = torch.randn(512, 2, generator=generator(1), dtype=torch.float64)
    u = torch.stack([noise[:, 0], noise[:, 0].sin() + 0.1 * noise[:, 1]], dim=1)
    density = FlowDensity(2, DensityConfig(layers=2, hidden=16)).double()
    density.start(u)
    start = density.log_prob(u).mean().item()
    optimizer = torch.optim.Adam(density.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        loss = -density.log_prob(u).mean()
        loss.backward()
        optimizer.step()
    # ln p of the truth: two normals of width 1 and 0.1, whatever their relation.
    entropy = -torch.log(torch.tensor(2 * torch.pi * torch.e * 0.1)).item()
    assert start < entropy - 0.5 and -loss.item() > entropy - 0.3


def test_masks_keep_no_dimension_fixed():
    morph = ConditionalMorph(7, ConditionalConfig(layers=2, hidden=8, linear=False))
    touched = torch.cat([layer.transform_features for layer in morph.chain._transforms])
    assert sorted(touched.tolist()) == list(range(7))


def test_wrong_arguments_name_themselves():
    with pytest.raises(ValueError, match="'affine', 'additive' or 'spline'"):
        FlowConfig(kind="maf")
    with pytest.raises(ValueError, match="dim must be >= 2"):
        ConditionalMorph(1)
    with pytest.raises(ValueError, match="no affine part"):
        FlowDensity(3, DensityConfig(linear=False)).set_affine(torch.eye(3), torch.zeros(3))
