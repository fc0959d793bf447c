"""Special functions against their integrals, which they do not use."""

import math

import pytest
import torch
from scipy.special import roots_jacobi, roots_legendre
from torch.autograd import gradcheck, gradgradcheck

from synth2obs.physics.special import BESSEL_JOIN, MOMENT_JOIN, exponential_moment, reduced_bessel

ARGUMENTS = torch.cat(
    [
        torch.zeros(1, dtype=torch.float64),
        torch.logspace(-8, 0, 9, dtype=torch.float64),
        torch.linspace(0.1, 60.0, 600, dtype=torch.float64),
        torch.tensor([BESSEL_JOIN, MOMENT_JOIN, 300.0], dtype=torch.float64),
    ]
)


def poisson_integral(s: torch.Tensor, order: float) -> torch.Tensor:
    """DLMF 10.9.4: mean of cos(s t) under the weight (1 − t²)^(ν − 1/2), by Gauss–Jacobi quadrature."""
    nodes, weights = map(torch.from_numpy, roots_jacobi(400, order - 0.5, order - 0.5))
    return (weights * torch.cos(s[:, None] * nodes)).sum(-1) / weights.sum()


def moment_integral(a: torch.Tensor, order: int) -> torch.Tensor:
    nodes, weights = map(torch.from_numpy, roots_legendre(200))
    u = (nodes + 1.0) / 2.0
    return (weights / 2.0 * u**order * torch.exp(-a[:, None] * u)).sum(-1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 4e-15), (torch.float32, 1e-6)])
class TestValues:
    @pytest.mark.parametrize("order", [1.0, 1.5, 2.0, 2.5, 3.0, 3.5])
    def test_bessel(self, order, dtype, tolerance):
        s = ARGUMENTS.to(dtype)
        expected = poisson_integral(s.double(), order)
        torch.testing.assert_close(reduced_bessel(s**2, order).double(), expected, rtol=0, atol=tolerance)

    @pytest.mark.parametrize("order", [0, 1, 2, 3])
    def test_moment(self, order, dtype, tolerance):
        a = ARGUMENTS.to(dtype)
        expected = moment_integral(a.double(), order)
        torch.testing.assert_close(exponential_moment(a, order).double(), expected, rtol=0, atol=tolerance)


FUNCTIONS = {
    "uniform disk": lambda x: reduced_bessel(x, 1.0),
    "limb-darkened disk": lambda x: reduced_bessel(x, 1.5),
    "moment": exponential_moment,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
class TestDerivatives:
    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")
    def test_are_those_of_finite_differences(self, function):
        joins = [MOMENT_JOIN - 0.01, MOMENT_JOIN + 0.01, BESSEL_JOIN**2 - 0.01, BESSEL_JOIN**2 + 0.01]
        x = torch.tensor([0.0, 1e-9, 0.4, *joins, 250.0], dtype=torch.float64, requires_grad=True)
        assert gradcheck(function, x, check_forward_ad=True)
        assert gradgradcheck(function, x)

    def test_value_is_exact_at_zero(self, function):
        assert float(function(torch.zeros((), dtype=torch.float64))) == 1.0

    def test_pieces_join(self, function):
        for join in (MOMENT_JOIN, BESSEL_JOIN**2):
            below, above = function(torch.tensor([math.nextafter(join, 0.0), join], dtype=torch.float64))
            assert abs(float(below - above)) < 2e-15

    def test_keeps_shape_of_what_is_empty(self, function):
        assert function(torch.ones(2, 0)).shape == (2, 0)
