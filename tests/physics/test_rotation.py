"""Rotation against quadrature of Gray's profile, and what is known of it; laws are in tests/laws."""

import math

import numpy as np
import pytest
import torch
from scipy.special import roots_jacobi

from synth2obs.core.constants import C_KMS
from synth2obs.physics import Rotation, broaden_by_rotation, rotation_reach
from synth2obs.physics.rotation import rotation_transform

STEP = 8e-5
SAMPLE = STEP * C_KMS
"""Velocity of one sample, km/s."""
X = torch.arange(400, dtype=torch.float64) * STEP


def spectrum(x: torch.Tensor) -> torch.Tensor:
    """Lines of σ = 3 samples: their power beyond the Nyquist frequency is below 1e-19."""
    random = np.random.default_rng(3)
    centres = torch.from_numpy(random.uniform(60.0, 340.0, 10)) * STEP
    depths = torch.from_numpy(random.uniform(0.1, 0.6, 10))
    return 1.0 - (depths * torch.exp(-0.5 * ((x[..., None] - centres) / (3.0 * STEP)) ** 2)).sum(-1)


def quadrature(vsini: float, epsilon: float) -> torch.Tensor:
    """Gray's profile: Gauss–Jacobi nodes for the weights (1 − t²)^½ and 1 − t², exact for polynomials."""
    out = torch.zeros_like(X)
    share = {0.5: 2.0 * (1.0 - epsilon) / math.pi, 1.0: epsilon / 2.0}
    for power, factor in share.items():
        nodes, weights = map(torch.from_numpy, roots_jacobi(120, power, power))
        out = out + factor * (weights * spectrum(X[:, None] - vsini / C_KMS * nodes)).sum(-1)
    return out / (1.0 - epsilon / 3.0)


@pytest.mark.parametrize("epsilon", [0.0, 0.6, 1.0])
@pytest.mark.parametrize("width", [1e-9, 1e-3, 0.1, 0.5, 1.0, 3.0, 10.0, 24.0])
def test_is_the_textbook_profile_for_any_width(width, epsilon):
    """Also narrower than a sample: the product of transforms knows of no sampling of the kernel."""
    got = broaden_by_rotation(spectrum(X)[None], STEP, width * SAMPLE, epsilon)[0]
    inner = slice(math.ceil(width) + 1, len(X) - math.ceil(width) - 1)
    torch.testing.assert_close(got[inner], quadrature(width * SAMPLE, epsilon)[inner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 0.6, 1.0])
def test_first_zero_of_the_transform(epsilon):
    """Dravins et al. (1990, A&A 237, 137): σ₁ vsini = 0.610 + 0.062 ε + 0.027 ε² + 0.012 ε³ + 0.004 ε⁴."""
    vsini = torch.tensor(20.0, dtype=torch.float64)
    published = 0.610 + 0.062 * epsilon + 0.027 * epsilon**2 + 0.012 * epsilon**3 + 0.004 * epsilon**4
    around = torch.tensor([published - 1e-3, published + 1e-3], dtype=torch.float64)
    low, high = rotation_transform(2.0 * math.pi * around * C_KMS / 20.0, vsini, epsilon)
    assert low > 0 > high


def test_variance_of_the_profile():
    """Second moment (1/4 at ε = 0, 1/5 for the limb-darkened part) of (vsini / c)², from a narrow line."""
    for epsilon in (0.0, 0.6, 1.0):
        share = 2.0 * epsilon / (3.0 - epsilon)
        line = torch.exp(-0.5 * ((X - X[200]) / (3.0 * STEP)) ** 2)[None]
        out = broaden_by_rotation(line, STEP, 20.0 * SAMPLE, epsilon)[0]
        variance = (out * (X - X[200]) ** 2).sum() / out.sum() / STEP**2
        expected = 9.0 + 400.0 * ((1.0 - share) / 4.0 + share / 5.0)
        torch.testing.assert_close(float(variance), expected, rtol=1e-9, atol=0)


def test_each_star_has_its_own_velocity_and_limb_darkening():
    vsini = torch.tensor([0.0, 15.0, 240.0], dtype=torch.float64)
    epsilon = torch.tensor([0.1, 0.9, 0.4], dtype=torch.float64)
    flux = torch.stack([spectrum(X), 0.5 * spectrum(X + STEP), spectrum(X - STEP)])
    together = Rotation(STEP)(flux, vsini, epsilon)
    for n in range(3):
        alone = broaden_by_rotation(flux[n : n + 1], STEP, float(vsini[n]), float(epsilon[n]))
        torch.testing.assert_close(together[n : n + 1], alone, rtol=1e-14, atol=0)


def test_limb_darkening_has_the_slope_of_finite_differences():
    flux = spectrum(X[150:190])[None]

    def at(epsilon: torch.Tensor) -> torch.Tensor:
        return broaden_by_rotation(flux, STEP, 5.0 * SAMPLE, epsilon)

    assert torch.autograd.gradcheck(at, torch.tensor([0.6], dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradgradcheck(at, torch.tensor([0.6], dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_refuses_limb_darkening_that_is_none(value):
    with pytest.raises(ValueError, match=r"epsilon \(no unit\) must be at least 0 and at most 1, got"):
        broaden_by_rotation(torch.ones(2, 9), STEP, 10.0, value)


def test_reach_is_that_of_the_fastest_point_of_the_disk():
    vsini = torch.tensor([0.0, 2.0, 200.0]) * SAMPLE
    reach = rotation_reach(STEP, vsini)
    assert reach.tolist()[0] == 0 and reach.tolist()[2] - reach.tolist()[1] in (198, 199)
    assert torch.equal(Rotation(STEP).reach(vsini), reach)
