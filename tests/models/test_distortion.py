"""Stretched wavelengths: no distortion changes nothing, and a constant one is a velocity of the stars."""

import copy

import numpy as np
import pytest
import torch

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import ModelError
from synth2obs.models.bundle import WEIGHTS, load_bundle, save_bundle
from synth2obs.models.checkpoint import load_tensors, save_tensors
from synth2obs.models.distortion import TERMS, WavelengthDistortion
from synth2obs.models.fit.observation import prepare


@pytest.fixture
def pixels(bridge):
    model = bridge.survey("toy")
    return model.wavelength, model.segment


@pytest.fixture
def distorted(bridge):
    """A copy of the bridge whose survey has a distortion of the given weights."""

    def make(weights):
        other = copy.deepcopy(bridge)
        own = other.survey("toy").distortion
        for (detector, degree), value in weights.items():
            own.weight[detector, degree] = value
        return other

    return make


def after(rv, velocity):
    """Both velocities one after the other, km/s."""
    return C_KMS * np.tanh(np.arctanh(rv / C_KMS) + np.arctanh(velocity / C_KMS))


class TestNone:
    def test_wavelengths_stay_bit_by_bit(self, pixels):
        own = WavelengthDistortion(*pixels)
        assert not own.known and torch.equal(own.corrected(*pixels), pixels[0])
        assert not own.velocity(*pixels).any() and not own.error(*pixels).any()


class TestLaws:
    def test_a_constant_is_a_velocity_of_every_star(self, bridge, distorted, labels_of):
        labels, rv = labels_of(3, seed=2, share=0.5), np.array([-30.0, 0.0, 40.0])
        moved = distorted({(0, 0): 20.0, (1, 0): 20.0}).predict(labels, "toy", rv)
        expected = bridge.predict(labels, "toy", after(rv, 20.0))
        both = np.isfinite(moved) & np.isfinite(expected)
        assert both.mean() > 0.95
        # Widths of lines in Å stay what they are where pixels are said to be.
        np.testing.assert_allclose(moved[both], expected[both], atol=3e-5)

    @pytest.mark.parametrize("detector, degree", [(0, 0), (0, 1), (1, 2), (1, 5)])
    def test_its_slope_is_that_of_the_velocity_times_a_polynomial(
        self, bridge, distorted, labels_of, detector, degree
    ):
        labels, (wavelength, segment) = labels_of(2, seed=4, share=0.5), bridge.survey("toy").native()[:2]
        step = 2.0
        ahead, behind = (
            distorted({(detector, degree): sign * step}).predict(labels, "toy") for sign in (1, -1)
        )
        faster, slower = (bridge.predict(labels, "toy", sign * step) for sign in (1.0, -1.0))
        own = wavelength[segment == detector].log()
        x = np.where(segment == detector, 2 * (wavelength.log() - own[0]) / (own[-1] - own[0]) - 1, 0.0)
        shape = np.where(segment == detector, np.cos(degree * np.arccos(np.clip(x, -1, 1))), 0.0)
        # A stretched pixel also is a little wider or narrower.
        change = shape * (faster - slower)
        np.testing.assert_allclose(ahead - behind, change, atol=0.02 * np.nanmax(np.abs(change)))

    def test_corrected_and_stated_differ_by_the_velocity(self, distorted, pixels):
        own = distorted({(0, 1): 25.0, (1, 0): -10.0}).survey("toy").distortion
        ratio = pixels[0].log() - own.corrected(*pixels).log()
        torch.testing.assert_close(C_KMS * torch.tanh(ratio), own.velocity(*pixels), rtol=0, atol=1e-6)
        assert own.velocity(*pixels)[[0, -1]].tolist() == pytest.approx([-25.0, -10.0])

    def test_it_is_level_beyond_the_ends_and_on_unknown_detectors_that_of_the_nearest(self, distorted):
        own = distorted({(0, 1): 25.0, (1, 0): -10.0}).survey("toy").distortion
        assert own.velocity([5000.0, 5300.0], [0, 7]).tolist() == pytest.approx([-25.0, -10.0])

    def test_stars_with_pixels_of_their_own_are_no_different(self, distorted, pixels):
        own = distorted({(0, 1): 25.0, (1, 3): -10.0}).survey("toy").distortion
        many = torch.stack([pixels[0], pixels[0] + 0.3])
        found = own.corrected(many, pixels[1])
        assert torch.equal(found[0], own.corrected(*pixels))
        assert torch.equal(found[1], own.corrected(many[1], pixels[1]))
        assert torch.equal(own.window_of(many, pixels[1])[0], own.window_of(*pixels))

    def test_its_error_is_that_of_its_weights(self, distorted, pixels):
        own = distorted({(0, 1): 25.0}).survey("toy").distortion
        random = torch.Generator().manual_seed(1)
        root = torch.randn(2 * TERMS, 2 * TERMS, generator=random, dtype=torch.float64)
        own.covariance.copy_(root @ root.T)
        draws = root @ torch.randn(2 * TERMS, 4000, generator=random, dtype=torch.float64)
        each = []
        for draw in draws.T:
            own.weight.copy_(draw.view(2, TERMS))
            each.append(own.velocity(*pixels)[::40])
        torch.testing.assert_close(torch.stack(each).std(0), own.error(*pixels)[::40], rtol=0.06, atol=0.0)


class TestEverywhere:
    def test_instrument_and_observation_stand_where_pixels_really_are(self, distorted, labels_of, stars_of):
        bridge = distorted({(0, 1): 25.0, (1, 3): -10.0})
        model, spectra = bridge.survey("toy"), stars_of(bridge, labels_of(2), np.zeros(2))
        true = model.true_wavelength.log()
        torch.testing.assert_close(prepare(bridge, "toy", spectra).log_wave, true)
        start = bridge.decoder.rest_wavelength[0].log()
        torch.testing.assert_close(bridge.instrument("toy").log_wave, true - start, rtol=0, atol=2e-7)

    def test_a_change_is_noticed(self, bridge, labels_of):
        other, labels = copy.deepcopy(bridge), labels_of(1)
        before = other.predict(labels, "toy")
        other.survey("toy").distortion.weight[:, 0] = 15.0
        assert np.nanmax(np.abs(other.predict(labels, "toy") - before)) > 1e-3
        other.survey("toy").distortion.weight.zero_()
        np.testing.assert_array_equal(other.predict(labels, "toy"), before)


class TestBundle:
    def test_it_comes_back(self, distorted, tmp_path, labels_of):
        bridge = distorted({(0, 1): 25.0, (1, 3): -10.0})
        own = bridge.survey("toy").distortion
        own.degree.fill_(3.0)
        own.window_velocity.normal_()
        back = load_bundle(save_bundle(bridge, tmp_path))
        found = back.survey("toy").distortion.state_dict()
        for name, value in own.state_dict().items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)
        labels = labels_of(2)
        np.testing.assert_array_equal(back.predict(labels, "toy"), bridge.predict(labels, "toy"))

    def test_a_bundle_without_one_has_none(self, bridge, tmp_path):
        folder = save_bundle(bridge, tmp_path)
        tensors, meta = load_tensors(folder / WEIGHTS)
        older = {name: value for name, value in tensors.items() if ".distortion." not in name}
        assert len(older) < len(tensors)
        save_tensors(folder / WEIGHTS, older, meta)
        assert not load_bundle(folder).survey("toy").distortion.known
        del older["models.toy.width_scale"]
        save_tensors(folder / WEIGHTS, older, meta)
        with pytest.raises(ModelError, match="width_scale"):
            load_bundle(folder)
