"""The latent variable model: its likelihood, what it leaves out, and the branch that it becomes."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from synth2obs.models.decoder.branch import Branch
from synth2obs.models.decoder.manifold import Hyper, Manifold, start_latents

COUNT, OUTPUTS, LATENT = 24, 9, 3


@pytest.fixture
def coefficients():
    return curved(COUNT, seed=0)


def curved(count, seed):
    """A surface of three dimensions in nine, with curvature that falls with order."""
    random = torch.Generator().manual_seed(seed)
    t = torch.randn(count, 3, generator=random, dtype=torch.float64) * torch.tensor([1.0, 0.5, 0.2])
    a, b, c = t.T
    bent = torch.stack(
        [a, b, c, 0.4 * a * a, 0.4 * a * b, 0.3 * b * b, 0.4 * a * c, 0.2 * a**3, 0.2 * b * c], dim=1
    )
    mixing = torch.linalg.qr(
        torch.randn(9, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    )[0]
    return bent @ mixing


@pytest.fixture
def manifold(coefficients):
    manifold = Manifold(coefficients, LATENT)
    with torch.no_grad():
        manifold.logs.copy_(torch.tensor([0.8, 1.5, 0.2, 0.5, 0.3, 1e-3], dtype=torch.float64).log())
    return manifold


def scaled(coefficients):
    return coefficients / coefficients.square().mean().sqrt()


def test_loss_is_the_negative_log_posterior_per_coefficient(manifold, coefficients):
    """Against torch's own normal distribution, an output at a time; constants of both aside."""
    covariance = manifold.hyper().gram(manifold.latents)
    normal = MultivariateNormal(torch.zeros(COUNT, dtype=torch.float64), covariance)
    likelihood = normal.log_prob(scaled(coefficients).T).sum() + 0.5 * COUNT * OUTPUTS * torch.log(
        torch.tensor(2 * torch.pi, dtype=torch.float64)
    )
    prior = -0.5 * (manifold.latents / manifold.spread).square().sum()
    expected = -(likelihood + prior) / (COUNT * OUTPUTS)
    torch.testing.assert_close(manifold()[0], expected, rtol=1e-10, atol=0)


def test_gradients_match_differences(manifold):
    def loss(latents, logs):
        return torch.func.functional_call(manifold, {"latents": latents, "logs": logs}, ())[0]

    inputs = tuple(each.detach().clone().requires_grad_() for each in (manifold.latents, manifold.logs))
    assert torch.autograd.gradcheck(loss, inputs)


def test_left_out_is_every_spectrum_predicted_from_the_others(manifold, coefficients):
    values, hyper, points = scaled(coefficients), manifold.hyper(), manifold.latents
    misses = []
    for own in range(COUNT):
        others = torch.arange(COUNT) != own
        weights = torch.cholesky_solve(values[others], torch.linalg.cholesky(hyper.gram(points[others])))
        misses.append(values[own] - hyper.kernel(points[own : own + 1], points[others])[0] @ weights)
    expected = torch.stack(misses).square().mean().sqrt()
    torch.testing.assert_close(manifold()[1], expected.detach(), rtol=1e-8, atol=0)


def test_only_products_of_spectra_count(coefficients):
    turn = torch.linalg.qr(torch.randn(OUTPUTS, OUTPUTS, dtype=torch.float64))[0]
    one, other = (Manifold(c, LATENT)()[0] for c in (coefficients, 7.0 * coefficients @ turn))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=0)


@pytest.mark.parametrize("hidden", [COUNT, COUNT + 5])
def test_branch_is_the_mean_of_the_process_at_white_latents(manifold, coefficients, hidden):
    branch = Branch(LATENT, OUTPUTS, hidden)
    branch.outer.weight.data.normal_()
    manifold.into(branch, coefficients)
    white = whitened(manifold)
    torch.testing.assert_close(
        white.T @ white / COUNT, torch.eye(LATENT, dtype=torch.float64), rtol=0, atol=1e-9
    )
    hyper, points = manifold.hyper(), manifold.latents
    weights = torch.linalg.inv(hyper.gram(points)) @ coefficients
    elsewhere = white + 0.3
    placed = branch.inner.place(elsewhere)
    with torch.no_grad():
        torch.testing.assert_close(branch.inner.place(white), points, rtol=0, atol=1e-9)
        expected = hyper.kernel(placed, points) @ weights
        torch.testing.assert_close(branch(elsewhere), expected, rtol=0, atol=1e-7)


def whitened(manifold):
    points = manifold.latents.detach()
    factor = torch.linalg.cholesky((points - points.mean(0)).T @ (points - points.mean(0)) / len(points))
    return torch.linalg.solve_triangular(factor, (points - points.mean(0)).T, upper=False).T


def test_fewer_units_than_spectra_fit_what_they_can_say(manifold):
    """Targets that are sums of the kernel at the very centres that are chosen come back."""
    branch, units = Branch(LATENT, 2, 5), torch.tensor([0, 6, 12, 17, 23])
    with torch.no_grad():
        manifold.logs[-1] = torch.tensor(1e-12).log()
    hyper, points = manifold.hyper(), manifold.latents.detach()
    truth = (
        hyper.kernel(points, points[units]).detach()
        @ torch.tensor([[1.0, 2], [-1, 0], [0, 3], [2, 1], [0, -1]]).double()
    )
    manifold.into(branch, truth)
    torch.testing.assert_close(branch.inner.centres, points[units])
    with torch.no_grad():
        torch.testing.assert_close(branch(whitened(manifold)), truth, rtol=0, atol=1e-4)


def test_more_spectra_than_the_manifold_take_part(manifold):
    """Latents of further spectra, in the manifold's coordinates, improve the branch between its own."""
    truth, more = curved(COUNT, 0), curved(300, 1)
    placed = more @ torch.linalg.lstsq(truth, manifold.latents.detach()).solution
    few, many = Branch(LATENT, OUTPUTS, COUNT), Branch(LATENT, OUTPUTS, 200)
    manifold.into(few, truth)
    manifold.into(many, more[:200], placed[:200])
    with torch.no_grad():
        white = torch.linalg.solve_triangular(
            many.inner.weight, (placed[200:] - many.inner.bias).T, upper=False
        ).T
        errors = [(branch(white) - more[200:]).square().mean().sqrt() for branch in (few, many)]
    assert errors[1] < 0.8 * errors[0]


def test_no_latent_is_spent_on_what_follows_from_others():
    """Of (a, a², c) principal components take a and a², though a² says nothing that a does not."""
    random = torch.Generator().manual_seed(2)
    a, c = torch.randn(2, 200, generator=random, dtype=torch.float64)
    data = torch.stack([3 * a, a * a - 1, 0.3 * c], dim=1)
    latents = start_latents(data / data.square().mean().sqrt(), 2)
    explained = torch.corrcoef(torch.cat([latents.T, c[None]]))[-1, :-1].square()
    assert explained[1] > 0.8
    components = torch.linalg.svd(data - data.mean(0), full_matrices=False)[0][:, :2]
    assert torch.corrcoef(torch.cat([components.T, c[None]]))[-1, :-1].square().max() < 0.1


def test_training_lowers_what_is_left_out():
    manifold = Manifold(curved(80, 0), LATENT)
    optimizer = torch.optim.Adam(manifold.parameters(), lr=0.01)
    first = manifold()
    for _ in range(60):
        optimizer.zero_grad()
        manifold()[0].backward()
        optimizer.step()
    last = manifold()
    assert last[0] < first[0] - 0.5 and last[1] < 0.5 * first[1]


@pytest.mark.parametrize("count", [LATENT, 2])
def test_too_few_spectra_are_refused(count):
    with pytest.raises(ValueError, match=f"below the number of spectra, got 3 for {count}; lower it"):
        Manifold(curved(COUNT, 0)[:count], LATENT)


def test_kernel_is_positive(manifold):
    random = 3.0 * torch.randn(40, LATENT, dtype=torch.float64)
    hyper = Hyper(*(value.detach() for value in manifold.hyper()))
    assert torch.linalg.eigvalsh(hyper.kernel(random, random)).min() > -1e-9
