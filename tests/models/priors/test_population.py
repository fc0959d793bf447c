"""The stellar-evolution prior: where stars are, its derivatives and its normalisation."""

import pytest
import torch
from torch import Tensor

from synth2obs.models.priors.population import Population


@pytest.fixture(scope="module")
def population() -> Population:
    return Population.load()


def rows(*labels: tuple[float, float, float]) -> Tensor:
    return torch.tensor(labels, dtype=torch.float64)


def peak(population: Population, fe_h: float) -> float:
    """Highest log density at a metallicity over the range of the prior."""
    teff, logg = torch.meshgrid(torch.arange(3900.0, 7501, 50), torch.arange(0.0, 5.3, 0.05), indexing="ij")
    grid = torch.stack([teff.ravel(), logg.ravel(), torch.full((teff.numel(),), fe_h)], dim=1)
    return float(population.log_prob(grid.double()).max())


STARS = {
    "sun": (5772.0, 4.438, 0.0),
    "red clump": (4750.0, 2.45, 0.0),
    "K dwarf": (4450.0, 4.63, 0.0),
    "metal-poor turn-off": (6500.0, 4.2, -2.0),
    "metal-poor giant": (4980.0, 2.0, -2.0),
}


@pytest.mark.parametrize("name", STARS)
def test_stars_that_exist_are_likely(population: Population, name: str) -> None:
    star = STARS[name]
    assert population.log_prob(rows(star))[0] > peak(population, star[2]) - 4.5


@pytest.mark.parametrize(
    ("unlikely", "likely"),
    [
        ((6500.0, 1.0, 0.0), (4050.0, 1.4, 0.0)),
        ((4300.0, 4.0, 0.0), (4300.0, 4.6, 0.0)),
        ((5772.0, 5.1, 0.0), (5772.0, 4.438, 0.0)),
        ((4400.0, 2.0, -2.0), (4980.0, 2.0, -2.0)),
        ((4300.0, 2.0, -2.0), (4300.0, 2.0, 0.0)),
    ],
)
def test_labels_off_the_isochrones_are_unlikely(
    population: Population, unlikely: tuple[float, float, float], likely: tuple[float, float, float]
) -> None:
    low, high = population.log_prob(rows(unlikely, likely))
    assert high - low > 3.0


def test_giants_grow_hotter_with_falling_metallicity(population: Population) -> None:
    teff = torch.arange(3900.0, 5600.0, 10.0, dtype=torch.float64)
    best = []
    for fe_h in (0.0, -1.0, -2.0):
        labels = torch.stack([teff, torch.full_like(teff, 1.5), torch.full_like(teff, fe_h)], dim=1)
        best.append(float(teff[population.log_prob(labels).argmax()]))
    assert best[0] + 200.0 < best[1] < best[2] - 100.0


def test_an_outlier_costs_a_bounded_amount(population: Population) -> None:
    labels = rows((6500.0, 1.0, 0.0), (4300.0, 4.0, 0.0), (7500.0, 0.0, -2.5), (3900.0, 5.2, 0.5))
    assert torch.all(population.log_prob(labels) > -20.0)


@pytest.mark.parametrize("fe_h", [-2.5, -1.0, 0.0, 0.5])
def test_density_is_normalised_over_teff_and_logg(population: Population, fe_h: float) -> None:
    teff, logg = torch.meshgrid(
        torch.arange(-1000.0, 12000.0, 60.0, dtype=torch.float64),
        torch.arange(-6.0, 12.0, 0.06, dtype=torch.float64),
        indexing="ij",
    )
    labels = torch.stack([teff.ravel(), logg.ravel(), torch.full_like(teff, fe_h).ravel()], dim=1)
    assert float(population.log_prob(labels).exp().sum() * 60.0 * 0.06) == pytest.approx(1.0, abs=1e-3)


def test_gradient_is_that_of_the_log_density(population: Population) -> None:
    labels = population.sample(64, torch.Generator().manual_seed(1))
    steps = torch.diag(torch.tensor([0.01, 1e-5, 1e-5], dtype=torch.float64))
    expected = torch.stack(
        [-(population.log_prob(labels + h) - population.log_prob(labels - h)) / (2 * h.sum()) for h in steps],
        dim=1,
    )
    gradient, _ = population.gauss_newton(labels)
    scale = torch.tensor([120.0, 0.12, 0.1], dtype=torch.float64)
    assert torch.allclose(gradient * scale, expected * scale, atol=1e-5)


def test_gradient_agrees_with_autograd(population: Population) -> None:
    labels = population.sample(16, torch.Generator().manual_seed(2)).requires_grad_()
    (expected,) = torch.autograd.grad(-population.log_prob(labels).sum(), labels)
    assert torch.allclose(population.gauss_newton(labels.detach())[0], expected, rtol=1e-8, atol=1e-9)


def test_curvature_is_positive_and_bounds_the_hessian(population: Population) -> None:
    labels = population.sample(10, torch.Generator().manual_seed(3))
    _, curvature = population.gauss_newton(labels)
    scale = torch.tensor([120.0, 0.12, 0.1], dtype=torch.float64)
    scaled = curvature * scale[:, None] * scale
    assert torch.all(torch.linalg.eigvalsh(scaled) > -1e-10)

    def loss(row: Tensor) -> Tensor:
        return -population.log_prob(row[None])[0]

    for row, bound in zip(labels, scaled, strict=True):
        hessian = torch.autograd.functional.hessian(loss, row) * scale[:, None] * scale
        assert torch.linalg.eigvalsh((bound - hessian)[:2, :2]).min() > -1e-9


def test_newton_steps_never_lower_the_density(population: Population) -> None:
    labels = population.sample(256, torch.Generator().manual_seed(4))
    labels[:, :2] += torch.tensor([300.0, 0.3], dtype=torch.float64)
    before = population.log_prob(labels)
    gradient, curvature = population.gauss_newton(labels)
    moved = labels.clone()
    moved[:, :2] -= torch.linalg.solve(curvature[:, :2, :2], gradient[:, :2])
    assert torch.all(population.log_prob(moved) >= before - 1e-9)


@pytest.mark.parametrize("fe_h", [-4.0, 1.0])
def test_beyond_its_metallicities_the_prior_stays_as_at_the_end(population: Population, fe_h: float) -> None:
    end = population.fe_h[0 if fe_h < 0 else 1].item()
    outside, inside = population.log_prob(rows((5000.0, 2.0, fe_h), (5000.0, 2.0, end)))
    gradient, curvature = population.gauss_newton(rows((5000.0, 2.0, fe_h)))
    assert outside == inside
    assert gradient[0, 2] == 0.0 and torch.all(curvature[0, 2] == 0.0)


def test_samples_follow_the_density(population: Population) -> None:
    draws = population.sample(40000, torch.Generator().manual_seed(5))
    log_prob = population.log_prob(draws)
    # The mean of 1/p over draws inside a region estimates the region's area.
    inside = (draws[:, 0] > 4800) & (draws[:, 0] < 5400) & (draws[:, 1] > 4.4) & (draws[:, 1] < 4.7)
    area = (inside.double() * torch.exp(-log_prob)).mean()
    assert float(area) == pytest.approx(600.0 * 0.3, rel=0.05)
    assert float(draws[:, 2].min()) >= -2.5 and float(draws[:, 2].max()) <= 0.5


def test_sampling_repeats_with_its_generator(population: Population) -> None:
    first, second = (population.sample(8, torch.Generator().manual_seed(6)) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("shape", [(3,), (2, 4)])
def test_labels_of_another_shape_are_refused(population: Population, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"labels must have shape \(B, 3\)"):
        population.log_prob(torch.zeros(shape))
