"""Macroturbulence against quadrature of its profile and of the disk itself; laws are in tests/laws."""

import math

import pytest
import torch
from scipy.special import roots_legendre

from synth2obs.core.constants import C_KMS
from synth2obs.physics import Macroturbulence, broaden_by_macroturbulence, macroturbulence_reach
from synth2obs.physics.macroturbulence import REACH, macroturbulence_transform

STEP = 8e-5
SAMPLE = STEP * C_KMS
"""Velocity of one sample, km/s."""
X = torch.arange(-200, 201, dtype=torch.float64) * STEP


def line(x: torch.Tensor) -> torch.Tensor:
    """A line of σ = 3 samples: its power beyond the Nyquist frequency is below 1e-19."""
    return 1.0 - 0.6 * torch.exp(-0.5 * (x / (3.0 * STEP)) ** 2)


def profile_quadrature(vmac: float) -> torch.Tensor:
    """Gray's closed form M(t), integrated over t > 0 and t < 0 by Gauss–Legendre quadrature."""
    nodes, weights = map(torch.from_numpy, roots_legendre(300))
    t, weights = 3.25 * (nodes + 1.0), 3.25 * weights
    profile = 2.0 / math.sqrt(math.pi) * (torch.exp(-t * t) - math.sqrt(math.pi) * t * torch.erfc(t))
    shift = vmac / C_KMS * t
    return (weights * profile * (line(X[:, None] - shift) + line(X[:, None] + shift))).sum(-1)


def disk_quadrature(vmac: float) -> torch.Tensor:
    """The model itself: over the disk, half of a line is spread by ζ cos θ and half by ζ sin θ (Gaussians)."""
    nodes, weights = map(torch.from_numpy, roots_legendre(100))
    theta = math.pi / 4.0 * (nodes + 1.0)
    weights = math.pi / 4.0 * weights * 2.0 * torch.sin(theta) * torch.cos(theta)
    out = torch.zeros_like(X)
    for projected in (torch.cos(theta), torch.sin(theta)):
        variance = 9.0 + 0.5 * (vmac / SAMPLE * projected) ** 2
        depth = 0.6 * 3.0 / variance.sqrt() * torch.exp(-0.5 * (X[:, None] / STEP) ** 2 / variance)
        out = out + 0.5 * (weights * (1.0 - depth)).sum(-1)
    return out


@pytest.mark.parametrize("reference", [profile_quadrature, disk_quadrature], ids=["profile", "disk"])
@pytest.mark.parametrize("width", [1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 24.0])
def test_is_the_textbook_profile_for_any_width(width, reference):
    """Also narrower than a sample: the product of transforms knows of no sampling of the kernel."""
    got = broaden_by_macroturbulence(line(X)[None], STEP, width * SAMPLE)[0]
    torch.testing.assert_close(got, reference(width * SAMPLE), rtol=0, atol=1e-12)


def test_variance_of_the_profile():
    """ζ²/4: half of ζ²/2, since cos² θ and sin² θ average to 1/2 over the disk."""
    out = broaden_by_macroturbulence(1.0 - line(X)[None], STEP, 12.0 * SAMPLE)[0]
    variance = (out * X**2).sum() / out.sum() / STEP**2
    torch.testing.assert_close(float(variance), 9.0 + 144.0 / 4.0, rtol=1e-9, atol=0)


def test_reach_leaves_out_less_than_a_millionth():
    """The tail of the profile beyond REACH, from 1 − ∫ M; and no more than is needed."""
    nodes, weights = map(torch.from_numpy, roots_legendre(200))

    def tail(start: float) -> float:
        t = start + 4.0 * (nodes + 1.0)
        profile = torch.exp(-t * t) - math.sqrt(math.pi) * t * torch.erfc(t)
        return float(4.0 / math.sqrt(math.pi) * (4.0 * weights * profile).sum())

    assert tail(0.0) == pytest.approx(1.0, abs=1e-12)
    assert tail(REACH) < 4e-7 < tail(REACH - 0.1)
    vmac = torch.tensor([0.0, 1.0, 101.0]) * SAMPLE
    reach = macroturbulence_reach(STEP, vmac)
    assert reach.tolist()[0] == 0 and abs(reach.tolist()[2] - reach.tolist()[1] - 100 * REACH) <= 1
    assert torch.equal(Macroturbulence(STEP).reach(vmac), reach)


def test_transform_of_a_wide_kernel_falls_as_the_inverse_square():
    frequency = torch.tensor([1e5, 1e6, 1e7], dtype=torch.float64)
    vmac = torch.tensor([[300.0]], dtype=torch.float64)
    got = macroturbulence_transform(frequency, vmac)[0]
    torch.testing.assert_close(got, (2.0 * C_KMS / 300.0 / frequency) ** 2, rtol=1e-12, atol=0)
