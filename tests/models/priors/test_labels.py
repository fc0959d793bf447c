"""The label prior: its gradient, its curvature, and what it says of abundances and of microturbulence."""

import numpy as np
import pytest
import torch

from synth2obs.core.labels import LabelSpace
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.priors.labels import COMMON, SINGLE, LabelPrior
from synth2obs.models.priors.population import Population

PLAIN = ("teff", "logg", "fe_h", "mg_fe", "si_fe", "c_fe")
TURBULENT = ("logg", "teff", "vmic", "fe_h", "mg_fe")
VALUES = {
    "teff": (4500, 6500),
    "logg": (1, 5),
    "fe_h": (-1, 0.5),
    "vmic": (0.8, 2.2),
    "mg_fe": (-0.3, 0.5),
    "si_fe": (-0.3, 0.5),
    "c_fe": (-0.5, 0.5),
}


def make_prior(names, population=True):
    low, high = np.array([VALUES[name] for name in names], dtype=float).T
    values = np.random.default_rng(0).uniform(low, high, (100, len(names)))
    space = LabelSpace.from_values(names, values)
    scale = LabelScale(space, values)
    return LabelPrior(space, scale, Population.load() if population else None), scale


@pytest.fixture
def x():
    return 0.5 * torch.randn(20, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("population", [True, False])
def test_gradient_is_its_slope(x, population, slope_of):
    prior, _ = make_prior(PLAIN, population)
    slope = slope_of(lambda at: prior(at).value[:, None], x, 1e-6)[:, 0]
    torch.testing.assert_close(prior(x).gradient, slope, rtol=1e-5, atol=1e-5)


def test_gradient_leaves_out_only_the_slope_of_the_vmic_relation(x, slope_of):
    """Along teff and logg the centre of vmic moves; the other labels have exact slopes."""
    prior, _ = make_prior(TURBULENT)
    slope = slope_of(lambda at: prior(at).value[:, None], x[:, :5], 1e-6)[:, 0]
    found = prior(x[:, :5]).gradient
    others = [TURBULENT.index(name) for name in ("vmic", "fe_h", "mg_fe")]
    torch.testing.assert_close(found[:, others], slope[:, others], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("names", [PLAIN, TURBULENT])
def test_curvature_is_positive_semidefinite(x, names):
    curvature = make_prior(names)[0](x[:, : len(names)]).curvature
    torch.testing.assert_close(curvature, curvature.mT)
    assert torch.linalg.eigvalsh(curvature).min() > -1e-9 * curvature.abs().max()


def test_newton_steps_reach_the_minimum(x):
    prior, _ = make_prior(PLAIN)
    for _ in range(60):
        _, gradient, curvature = prior(x)
        x = x - torch.linalg.solve(curvature + 1e-9 * torch.eye(6), gradient)
    assert prior(x).gradient.abs().max() < 1e-3


def test_alpha_elements_vary_together(x):
    """Given [Mg/Fe] the expected [Si/Fe] is COMMON² / (COMMON² + SINGLE²) of it, and [C/Fe] does not care."""
    prior, scale = make_prior(PLAIN, population=False)
    precision = prior(x).curvature[0][3:, 3:]
    covariance = torch.linalg.inv(precision) * scale.width[3:, None] * scale.width[3:]
    torch.testing.assert_close(covariance[0, 1] / covariance[0, 0], _share())
    torch.testing.assert_close(covariance[:2, 2], torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)
    torch.testing.assert_close(covariance[0, 0].sqrt(), torch.tensor((SINGLE**2 + COMMON**2) ** 0.5).double())


def _share():
    return torch.tensor(COMMON**2 / (COMMON**2 + SINGLE**2), dtype=torch.float64)


def test_without_population_the_stellar_labels_are_flat(x):
    prior, _ = make_prior(PLAIN, population=False)
    moved = x.clone()
    moved[:, :3] += 1.0
    assert torch.equal(prior(x).value, prior(moved).value)
    assert (prior(x).gradient[:, :3] == 0).all() and (prior(x).curvature[:, :3] == 0).all()


@pytest.mark.parametrize(
    ("teff", "logg", "expected"), [(5777, 4.44, 0.979), (4500, 2.0, 1.45), (6500, 5.0, 1.0), (4000, 5.0, 0.6)]
)
def test_vmic_relation(teff, logg, expected):
    """The least costly vmic at given stellar labels."""
    prior, scale = make_prior(TURBULENT, population=False)
    vmic = torch.linspace(0.5, 2.7, 2201, dtype=torch.float64)
    labels = torch.zeros(2201, 5, dtype=torch.float64)
    labels[:, 0], labels[:, 1], labels[:, 2] = logg, teff, vmic
    assert float(vmic[prior(scale(labels)).value.argmin()]) == pytest.approx(expected, abs=2e-3)


def test_stars_are_where_isochrones_are():
    prior, scale = make_prior(PLAIN)
    sun, nowhere = (
        torch.tensor([[teff, logg, 0, 0, 0, 0]], dtype=torch.float64)
        for teff, logg in ((5777, 4.44), (6400, 1.2))
    )
    assert prior(scale(sun)).value < prior(scale(nowhere)).value - 2


def test_grid_of_stellar_labels_alone():
    prior, _ = make_prior(("teff", "logg", "fe_h"))
    result = prior(torch.zeros(2, 3, dtype=torch.float64))
    assert all(torch.isfinite(part).all() for part in result)
