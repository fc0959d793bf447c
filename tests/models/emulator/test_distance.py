"""Distance of labels from a grid: by its density, in the unit of what labels do."""

import pytest
import torch

from synth2obs.models.emulator.distance import GridDistance
from synth2obs.models.emulator.kernel import KernelEmulator


@pytest.fixture(scope="module")
def ring():
    """Two labels that go together on a ring, and one that does nothing."""
    random = torch.Generator().manual_seed(0)
    angle = 6.2832 * torch.rand(300, generator=random, dtype=torch.float64)
    radius = 1.0 + 0.05 * torch.randn(300, generator=random, dtype=torch.float64)
    idle = torch.randn(300, generator=random, dtype=torch.float64)
    x = torch.stack([radius * angle.cos(), radius * angle.sin(), idle], dim=1)
    emulator = KernelEmulator(3, 2, 300)
    emulator.fit(x, x[:, :2], torch.ones(2, dtype=torch.float64))
    distance = GridDistance(3)
    distance.learn(emulator, torch.ones(2, dtype=torch.float64))
    return distance, x


def test_most_of_the_grid_is_near(ring):
    distance, x = ring
    assert ((distance(x, x) <= 1.0).double().mean()) >= 0.98


def test_the_hole_of_a_ring_is_far_though_within_every_range(ring):
    distance, x = ring
    inside = torch.zeros(1, 3, dtype=torch.float64)
    assert (inside > x.amin(0)).all() and (inside < x.amax(0)).all()
    assert distance(inside, x)[0] > 3.0


def test_a_label_that_does_nothing_counts_little(ring):
    distance, x = ring
    moved = x[:50] + torch.tensor([0.0, 0.0, 3.0], dtype=torch.float64)
    assert distance(moved, x).median() < 1.5


def test_stars_do_not_see_each_other_and_nothing_is_far_before_it_is_learned(ring):
    distance, x = ring
    torch.testing.assert_close(distance(x[:9], x)[4:5], distance(x[4:5], x))
    assert (GridDistance(3)(x, x) == 0).all()
