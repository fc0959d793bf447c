"""Labels to latents: scaling, slopes, the closed-form fit and honest cross-validation."""

import numpy as np
import pytest
import torch

from synth2obs.core.labels import LabelSpace
from synth2obs.models.emulator.cross_validation import cross_validate
from synth2obs.models.emulator.kernel import KernelConfig, KernelEmulator
from synth2obs.models.emulator.scale import LabelScale


def smooth(x):
    """Two latents that answer to three of five labels."""
    return torch.stack([torch.tanh(x[:, 0] + 0.5 * x[:, 1]), 0.3 * x[:, 2] * x[:, 0]], dim=1)


@pytest.fixture(scope="module")
def sample():
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, smooth(x), torch.tensor([1.0, 2.0], dtype=torch.float64)


@pytest.fixture(scope="module")
def fitted(sample):
    emulator = KernelEmulator(5, 2, 200)
    emulator.fit(*sample)
    return emulator


class TestLabelScale:
    def test_round_trip_and_standardisation(self, bridge, labels_of):
        labels = torch.from_numpy(labels_of(150))
        x = bridge.scale(labels)
        torch.testing.assert_close(bridge.scale.inverse(x), labels, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(x.mean(0), torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-10)
        torch.testing.assert_close(x.std(0), torch.ones(5, dtype=torch.float64))

    def test_slope(self, bridge, slope_of):
        x = torch.randn(6, 5, dtype=torch.float64)
        slope = slope_of(bridge.scale.inverse, x)
        torch.testing.assert_close(slope, torch.diag_embed(bridge.scale.slope(x)), rtol=1e-6, atol=1e-5)

    def test_hotter_is_smaller(self, bridge):
        cool, hot = bridge.scale(torch.tensor([[4500, 4, 0, 1, 0], [6500, 4, 0, 1, 0]], dtype=torch.float64))
        assert hot[0] < cool[0] and torch.equal(hot[1:], cool[1:])

    def test_label_that_never_varies_keeps_its_unit(self):
        labels = np.array([[5000.0, 1.5], [6000.0, 1.5], [5500.0, 1.5]])
        scale = LabelScale(LabelSpace.from_values(("teff", "vmic"), labels), labels)
        x = scale(torch.from_numpy(labels))
        assert torch.isfinite(x).all() and (x[:, 1] == 0).all()


class TestKernelEmulator:
    def test_jacobian_is_its_slope(self, fitted, sample, slope_of):
        x = torch.cat([sample[0][:3], torch.randn(3, 5, dtype=torch.float64)])
        torch.testing.assert_close(fitted.jacobian(x), slope_of(fitted, x, 1e-5), rtol=1e-5, atol=1e-6)

    def test_solves_its_ridge_regression(self, sample):
        """(G + ridge I) α = latents, so the training residual is ridge · α."""
        x, latent, _ = sample
        emulator = KernelEmulator(5, 2, 200, KernelConfig(ridge=0.05))
        emulator.fit(*sample)
        torch.testing.assert_close(latent - emulator(x), 0.05 * emulator.alpha, rtol=1e-6, atol=1e-8)

    def test_learns_a_smooth_function_and_beats_the_linear_one(self, fitted, sample):
        new = torch.randn(500, 5, dtype=torch.float64)
        error = (fitted(new) - smooth(new)).square().mean().sqrt()
        design = torch.cat([torch.ones_like(sample[0][:, :1]), sample[0]], dim=1)
        plane = torch.linalg.lstsq(design, sample[1]).solution
        linear = torch.cat([torch.ones_like(new[:, :1]), new], dim=1) @ plane
        assert error < 0.35 * (linear - smooth(new)).square().mean().sqrt()

    def test_labels_that_do_nothing_do_not_count(self, fitted):
        assert fitted.relevance.max() == 1
        # 200 spectra leave a chance correlation of 0.07 or so.
        assert (fitted.relevance[3:] < 0.2).all()

    def test_relevance_is_in_flux_and_not_in_latent_units(self, sample):
        x = sample[0]
        latent = torch.stack([x[:, 0], 10 * x[:, 1]], dim=1)
        emulator = KernelEmulator(5, 2, 200)
        emulator.fit(x, latent, torch.tensor([1.0, 0.01]))
        assert emulator.relevance[0] == 1 and abs(emulator.relevance[1] - 0.1) < 0.01

    def test_batch_independence(self, fitted, sample):
        alone = torch.cat([fitted(row[None]) for row in sample[0][:10]])
        torch.testing.assert_close(alone, fitted(sample[0])[:10], rtol=1e-9, atol=1e-9)


class TestCrossValidation:
    def test_equals_fits_by_hand(self, sample):
        x, latent, weight = sample
        folds = torch.arange(200).chunk(3)
        predicted = cross_validate(KernelEmulator(5, 2, 200), x, latent, weight, folds)
        rest = torch.cat(folds[1:])
        emulator = KernelEmulator(5, 2, len(rest))
        emulator.fit(x[rest], latent[rest], weight)
        torch.testing.assert_close(predicted[folds[0]], emulator(x[folds[0]]), rtol=1e-9, atol=1e-9)

    def test_never_sees_what_it_predicts(self, sample):
        x, latent, weight = sample
        folds = torch.arange(200).chunk(4)
        changed = latent.clone()
        changed[folds[1]] = 99.0
        one, two = (cross_validate(KernelEmulator(5, 2, 200), x, y, weight, folds) for y in (latent, changed))
        assert torch.equal(one[folds[1]], two[folds[1]]) and not torch.equal(one[folds[0]], two[folds[0]])
