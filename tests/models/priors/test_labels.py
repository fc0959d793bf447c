"""The label prior: its gradient, its curvature, and what it says of abundances and of microturbulence."""

import numpy as np
import pytest
import torch

from synth2obs.core.labels import LabelSpace
from synth2obs.core.trends import LOADINGS, expected
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.priors.labels import ALPHA_SPREAD, DEPARTURE, SPREAD, LabelPrior
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
@pytest.mark.parametrize("names", [PLAIN, TURBULENT])
def test_gradient_is_its_slope(x, names, population, slope_of):
    """With the slopes of what Teff, log g and [Fe/H] lead one to expect of the others."""
    prior, _ = make_prior(names, population)
    x = x[:, : len(names)]
    slope = slope_of(lambda at: prior(at).value[:, None], x, 1e-6)[:, 0]
    torch.testing.assert_close(prior(x).gradient, slope, rtol=1e-5, atol=1e-5)


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
    """Beside a scatter of their own [Mg/Fe] and [Si/Fe] have a common one, and [C/Fe] does not care."""
    prior, scale = make_prior(PLAIN, population=False)
    precision = prior(x).curvature[0][3:, 3:]
    covariance = torch.linalg.inv(precision) * scale.width[3:, None] * scale.width[3:]
    common = ALPHA_SPREAD**2 * np.outer(
        [LOADINGS["mg"], LOADINGS["si"], 0.0], [LOADINGS["mg"], LOADINGS["si"], 0.0]
    )
    own = np.diag([0.1**2 + DEPARTURE**2, 0.1**2 + DEPARTURE**2, SPREAD["c"] ** 2])
    np.testing.assert_allclose(covariance.numpy(), common + own, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fe_h", [-0.9, -0.33, 0.1])
@pytest.mark.parametrize("name", ["mg_fe", "c_fe", "vmic"])
def test_most_likely_are_the_labels_that_such_stars_have(name, fe_h):
    prior, scale = make_prior(("teff", "logg", "fe_h", name), population=False)
    stellar = torch.tensor([[4800.0, 2.5, fe_h]], dtype=torch.float64)
    mean = expected(name, *(np.array([value]) for value in stellar[0].tolist()))
    labels = torch.cat([stellar, torch.from_numpy(mean)[None]], dim=1)
    assert float(prior(scale(labels)).value) == pytest.approx(0.0, abs=2e-4)
    for away in (-0.05, 0.05):
        moved = labels + torch.tensor([0.0, 0.0, 0.0, away])
        assert float(prior(scale(moved)).value) > 0.003


def test_draws_have_the_mean_and_the_curvature_of_the_prior():
    prior, scale = make_prior(PLAIN, population=False)
    stellar = torch.tensor([[5777.0, 4.44, -0.25]], dtype=torch.float64)
    drawn = scale(prior.draw(stellar.expand(40_000, 3), torch.Generator().manual_seed(0)))
    assert torch.equal(scale.inverse(drawn)[:, :3], stellar.expand(40_000, 3)) or torch.allclose(
        scale.inverse(drawn)[:, :3], stellar
    )
    rest = drawn[:, 3:]
    assert prior(drawn.mean(0, keepdim=True)).value < 1e-3
    found = torch.linalg.inv(torch.cov(rest.T))
    torch.testing.assert_close(found, prior(drawn[:1]).curvature[0][3:, 3:], rtol=0.05, atol=0.1)


def test_without_population_only_abundances_tell_of_the_stellar_labels(x):
    prior, _ = make_prior(("teff", "logg", "fe_h"), population=False)
    found = prior(x[:, :3])
    assert (found.value == 0).all() and (found.gradient == 0).all() and (found.curvature == 0).all()


@pytest.mark.parametrize(
    ("teff", "logg", "expected"),
    [(5777, 4.44, 1.068), (4500, 2.0, 1.617), (6500, 5.0, 1.306), (4000, 4.8, 0.847)],
)
def test_vmic_relation(teff, logg, expected):
    """The least costly vmic at given stellar labels."""
    prior, scale = make_prior(TURBULENT, population=False)
    vmic = torch.linspace(0.5, 2.7, 2201, dtype=torch.float64)
    labels = torch.zeros(2201, 5, dtype=torch.float64)
    labels[:, 0], labels[:, 1], labels[:, 2] = logg, teff, vmic
    assert float(vmic[prior(scale(labels)).value.argmin()]) == pytest.approx(expected, abs=2e-2)


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
