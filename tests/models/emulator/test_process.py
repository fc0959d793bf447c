"""The Gaussian process: what its kernel assumes, gradient spectra, settings that are learned once, batches."""

import pytest
import torch

from synth2obs.models.contracts import Differences
from synth2obs.models.emulator.evidence import learn, profile_evidence
from synth2obs.models.emulator.process import ProcessConfig, ProcessEmulator
from synth2obs.models.emulator.structured import StructuredKernel

CORE, ELEMENTS, LATENT, SPECTRA = 2, 6, 3, 120
WEIGHT = torch.ones(LATENT, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def truth(x):
    """Elements act through a response that depends on the core labels, and saturate."""
    core, elements = x[:, :CORE], x[:, CORE:]
    response = torch.stack([torch.tanh(core[:, 0]), 0.5 * core[:, 1].cos(), 0.3 + 0.1 * core[:, 0]], dim=1)
    depth = 1.0 - torch.exp(-0.3 * (elements[:, :3] - 3.0).exp() - 0.2)
    return core.sum(1, keepdim=True).sin() + response * (0.4 * elements[:, :LATENT] + depth)


def made(spectra=SPECTRA, **settings):
    return ProcessEmulator(CORE + ELEMENTS, LATENT, spectra, ProcessConfig(core=CORE, **settings))


def pairs(at, step=0.2):
    """Differences along every label at some points."""
    size = at.shape[1]
    steps = step * torch.eye(size, dtype=at.dtype).repeat(len(at), 1)
    middle = at.repeat_interleave(size, 0)
    upper, lower = middle + steps, middle - steps
    return Differences(upper, lower, truth(upper) - truth(lower))


@pytest.fixture(scope="module")
def sample():
    x = normal(SPECTRA, CORE + ELEMENTS)
    return x, truth(x)


@pytest.fixture(scope="module")
def fitted(sample):
    emulator = made()
    emulator.fit(*sample, WEIGHT)
    return emulator


@pytest.fixture(scope="module")
def fitted_with_gradients(sample):
    emulator = made()
    emulator.fit(*sample, WEIGHT, pairs(normal(4, CORE + ELEMENTS, seed=7)))
    return emulator


def rms(emulator, x):
    return (emulator(x) - truth(x)).square().mean().sqrt()


def test_jacobian_is_its_slope_with_and_without_gradients(fitted, fitted_with_gradients, slope_of):
    x = normal(5, CORE + ELEMENTS, seed=1)
    for emulator in (fitted, fitted_with_gradients):
        torch.testing.assert_close(emulator.jacobian(x), slope_of(emulator, x, 1e-4), rtol=1e-5, atol=1e-6)


def test_jacobian_follows_a_new_fit(sample):
    emulator, x = made(steps=10), normal(2, CORE + ELEMENTS, seed=1)
    emulator.fit(*sample, WEIGHT)
    before = emulator.jacobian(x)
    emulator.fit(sample[0], 2.0 * sample[1], WEIGHT)
    assert (emulator.jacobian(x) - before).abs().max() > 0.05


def test_gradient_spectra_are_met_and_help_beside_them(fitted, fitted_with_gradients):
    points = normal(4, CORE + ELEMENTS, seed=7)
    known = pairs(points)
    found = fitted_with_gradients(known.upper) - fitted_with_gradients(known.lower)
    before = fitted(known.upper) - fitted(known.lower)
    assert (found - known.change).norm() < 0.2 * (before - known.change).norm()
    near = points.repeat(10, 1) + 0.3 * normal(40, CORE + ELEMENTS, seed=8)
    assert rms(fitted_with_gradients, near) < 0.95 * rms(fitted, near)
    assert fitted_with_gradients.covariance(near).diagonal(dim1=1, dim2=2).sum() > 0


def test_what_is_stored_has_the_ends_of_gradients(fitted_with_gradients):
    again = made()
    again.load_state_dict(fitted_with_gradients.state_dict())
    x = normal(3, CORE + ELEMENTS, seed=2)
    assert torch.equal(again(x), fitted_with_gradients(x))
    torch.testing.assert_close(again.jacobian(x), fitted_with_gradients.jacobian(x))
    torch.testing.assert_close(again.covariance(x), fitted_with_gradients.covariance(x))


def test_learned_relevance_finds_the_elements_that_act(fitted):
    strength = fitted.kernel.strength.exp() + fitted.kernel.reach.exp()
    assert strength[:LATENT].min() > strength[LATENT:].max()


def test_errors_are_of_the_size_that_it_says(fitted):
    x = normal(400, CORE + ELEMENTS, seed=3)
    expected = fitted.covariance(x).diagonal(dim1=1, dim2=2).mean()
    assert 0.5 < (rms(fitted, x).square() / expected).sqrt() < 2.0


def test_evidence_rises(sample):
    kernel, (x, y) = StructuredKernel(CORE, ELEMENTS), sample
    offset = y - y.mean(0)
    products = offset @ offset.T / offset.square().sum(1).mean()
    before = profile_evidence(kernel, x, products)
    assert not bool(kernel.learned)
    found = learn(kernel, x, y, 30)
    assert found < before - 0.5 and bool(kernel.learned)
    assert not any(parameter.requires_grad for parameter in kernel.parameters())


def test_kernel_is_symmetric_and_positive(fitted):
    x = normal(40, CORE + ELEMENTS, seed=4)
    gram = fitted.kernel(x, x)
    torch.testing.assert_close(gram, gram.T)
    torch.testing.assert_close(gram.diagonal(), fitted.kernel.own(x))
    assert torch.linalg.eigvalsh(gram).min() > -1e-9 * gram.diagonal().max()


def test_few_spectra_teach_the_kernel_and_all_the_fit(sample):
    emulator = made(learned_from=40)
    emulator.fit(*sample, WEIGHT)
    assert rms(emulator, sample[0]) < 0.1 * sample[1].std()


def test_a_grid_of_core_labels_alone():
    x = normal(50, 2)
    emulator = ProcessEmulator(2, 1, 50)
    emulator.fit(x, x.sum(1, keepdim=True).sin(), torch.ones(1, dtype=torch.float64))
    assert (emulator(x) - x.sum(1, keepdim=True).sin()).abs().max() < 0.02
    assert emulator.jacobian(x[:3]).shape == (3, 1, 2)
