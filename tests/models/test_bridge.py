"""The bridge: slopes through all of it, predictions that are the physics, bundles as they were saved."""

import os

import numpy as np
import pytest
import torch

from synth2obs.core.errors import ModelError, OutputError
from synth2obs.core.line_spread import LineSpread
from synth2obs.models.bundle import WEIGHTS, load_bundle, save_bundle
from synth2obs.models.checkpoint import load_tensors, save_tensors


@pytest.fixture
def x():
    return 0.7 * torch.randn(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class TestFromLabels:
    @pytest.mark.parametrize("morphed", [True, False])
    def test_slope(self, build, x, morphed, slope_of):
        bridge = build(busy=True, degree=2)
        bridge.decoder.double()
        found = bridge.from_labels("toy", x, morphed=morphed)
        slope = slope_of(lambda at: bridge.from_labels("toy", at, morphed=morphed).value, x)
        torch.testing.assert_close(found.jacobian, slope, rtol=1e-3, atol=1e-3)

    def test_without_morph_it_is_theory(self, busy, x):
        found = busy.from_labels("toy", x, morphed=False).value
        trunk = busy.decoder.branch(busy.emulator(x).float()).double()
        torch.testing.assert_close(found[:, 1:9], trunk)
        assert (found[:, 9:] == 0).all() and (busy.from_labels("toy", x).value[:, 9] == 1).all()


class TestPredict:
    def test_is_the_instrument_on_the_rest_flux(self, bridge, instrument, labels_of):
        labels, rv = labels_of(3), torch.tensor([-50.0, 0.0, 90.0], dtype=torch.float64)
        expected = instrument(bridge.rest_flux(labels), rv).numpy()
        np.testing.assert_allclose(bridge.predict(labels, "toy", rv), expected, rtol=0, atol=1e-5)

    def test_morph_and_gap_show_unless_left_out(self, busy, labels_of):
        labels = labels_of(3)
        theory, morphed = busy.predict(labels, "toy", morphed=False), busy.predict(labels, "toy")
        assert np.abs(theory - morphed).max() > 1e-3

    def test_batches_do_not_matter(self, busy, labels_of):
        labels = labels_of(70)
        together = busy.predict(labels, "toy", np.linspace(-100, 100, 70))
        alone = busy.predict(labels[69], "toy", 100.0)
        np.testing.assert_allclose(together[69:], alone, rtol=0, atol=1e-6)

    def test_nan_where_the_grid_does_not_reach(self, bridge, labels_of):
        flux = bridge.predict(labels_of(1), "toy", 2000.0)[0]
        assert np.isnan(flux[0]) and np.isfinite(flux[60:200]).all()

    def test_none_of_no_stars(self, bridge):
        assert bridge.predict(np.empty((0, 5)), "toy").shape == (0, 290)

    def test_stars_with_widths_of_their_own(self, bridge, labels_of):
        """More stars than a batch, each with a row of the line-spread table."""
        model, group = bridge.survey("toy"), np.arange(70) % 2
        table = np.stack([model.lsf_sigma.numpy(), 1.5 * model.lsf_sigma.numpy()])
        instrument = bridge.instrument("toy", line_spread=LineSpread.gaussian(table, group=group))
        coefficients = bridge.from_labels("toy", bridge.scale(torch.from_numpy(labels_of(1)))).value
        flux = bridge.native.flux(
            coefficients.expand(70, -1), "toy", torch.zeros(70, dtype=torch.float64), instrument
        )
        np.testing.assert_allclose(flux[0], flux[68], rtol=0, atol=1e-6)
        assert np.nanmax(np.abs(flux[0] - flux[69])) > 1e-3


class TestRefusals:
    def test_unknown_survey(self, bridge, labels_of):
        with pytest.raises(ModelError, match="unknown survey 'galah'; this model knows toy"):
            bridge.predict(labels_of(1), "galah")

    def test_label_that_is_not_finite(self, bridge, labels_of):
        labels = labels_of(3)
        labels[1, 2] = np.nan
        with pytest.raises(ModelError, match="label 'fe_h' must be finite"):
            bridge.predict(labels, "toy")

    @pytest.mark.parametrize("shape", [(2, 4), (5, 1), (2, 2, 5), ()])
    def test_wrong_shape(self, bridge, shape):
        with pytest.raises(ModelError, match=r"shape \(N, 5\).*teff, logg, fe_h, vmic, mg_fe"):
            bridge.predict(np.zeros(shape), "toy")

    @pytest.mark.parametrize("rv", [np.nan, [0.0, np.inf]])
    def test_velocity_that_is_not_finite(self, bridge, labels_of, rv):
        with pytest.raises(ModelError, match=r"rv in km/s must be finite"):
            bridge.predict(labels_of(2), "toy", rv)

    def test_velocities_for_other_stars(self, bridge, labels_of):
        with pytest.raises(ModelError, match=r"rv must be one value or have shape \(2,\), got \(3,\)"):
            bridge.predict(labels_of(2), "toy", [0.0, 1.0, 2.0])


class TestBundle:
    @pytest.fixture
    def saved(self, busy, tmp_path):
        return save_bundle(busy, tmp_path / "new" / "bundle")

    def change(self, folder, tensors=None, **meta):
        """The same bundle with some content replaced, or left out where None, and a digest that fits."""
        old = load_tensors(folder / WEIGHTS)
        new = ({**before, **(changes or {})} for before, changes in zip(old, (tensors, meta), strict=True))
        save_tensors(folder / WEIGHTS, *({k: v for k, v in part.items() if v is not None} for part in new))

    def test_predictions_are_bit_equal(self, busy, saved, labels_of):
        loaded, labels = load_bundle(saved), labels_of(5)
        for morphed in (True, False):
            before, after = (b.predict(labels, "toy", 30.0, morphed=morphed) for b in (busy, loaded))
            np.testing.assert_array_equal(before, after)
        assert torch.equal(loaded.rest_flux(labels), busy.rest_flux(labels))

    def test_keeps_the_shape_of_the_line_spread(self, build, tmp_path, labels_of):
        bridge = build()
        model = bridge.survey("toy")
        plain = bridge.predict(labels_of(2), "toy")
        model.lsf_hermite = (
            torch.tensor([0.0, 0.0, 0.08, 0.05], dtype=torch.float64).expand(len(model.lsf_sigma), -1).clone()
        )
        skewed = bridge.predict(labels_of(2), "toy")
        assert np.nanmax(np.abs(skewed - plain)) > 1e-4
        again = load_bundle(save_bundle(bridge, tmp_path)).predict(labels_of(2), "toy")
        np.testing.assert_array_equal(again, skewed)

    def test_keeps_all_else(self, busy, saved):
        loaded = load_bundle(saved)
        assert loaded.surveys == ("toy",) and loaded.labels.names == busy.labels.names
        assert loaded.population is None and loaded.card == {"grid": "toy"}
        assert loaded.survey("toy").config == busy.survey("toy").config
        np.testing.assert_array_equal(loaded.labels.upper, busy.labels.upper)
        before, after = busy.state_dict(), loaded.state_dict()
        assert before.keys() == after.keys()
        for name, value in before.items():
            torch.testing.assert_close(value, after[name], rtol=0, atol=0, equal_nan=True)

    def test_fingerprint_catches_other_weights(self, busy, saved):
        self.change(saved, {"decoder.branch.skip": busy.decoder.branch.skip * 1.05})
        with pytest.raises(ModelError, match="toy spectra differ from the saved fingerprint"):
            load_bundle(saved)

    def test_fingerprint_catches_nan(self, busy, saved):
        self.change(saved, {"emulator.gamma": busy.emulator.gamma * torch.nan})
        with pytest.raises(ModelError):
            load_bundle(saved)

    @pytest.mark.parametrize(
        ("lost", "value"),
        [
            ("decoder.mean", None),
            ("decoder.rest_wavelength", None),
            ("emulator.centres", None),
            ("models.toy.lsf_sigma", None),
            ("models.toy.gap.mean", torch.zeros(3, 3)),
            ("decoder.another", torch.zeros(3)),
        ],
    )
    def test_other_tensors_are_refused(self, saved, lost, value):
        self.change(saved, {lost: value})
        with pytest.raises(ModelError, match=WEIGHTS):
            load_bundle(saved)

    @pytest.mark.parametrize("key", ["labels", "decoder", "emulator", "surveys", "population", "fingerprint"])
    def test_lost_sizes_are_refused(self, saved, key):
        self.change(saved, **{key: None})
        with pytest.raises(ModelError, match="incomplete bundle"):
            load_bundle(saved)

    def test_setting_of_a_later_version_is_refused(self, saved):
        sizes = load_tensors(saved / WEIGHTS)[1]["surveys"]
        self.change(saved, surveys={"toy": {**sizes["toy"], "colour": "red"}})
        with pytest.raises(ModelError, match="colour"):
            load_bundle(saved)

    def test_other_format_is_refused(self, saved):
        self.change(saved, format="synth2obs-bundle/99")
        with pytest.raises(ModelError, match="format 'synth2obs-bundle/99', expected"):
            load_bundle(saved)

    @pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 0.999])
    def test_flipped_byte_is_found(self, saved, place):
        path = saved / WEIGHTS
        content = bytearray(path.read_bytes())
        content[int(place * len(content))] ^= 0x10
        path.write_bytes(content)
        with pytest.raises(ModelError, match=WEIGHTS):
            load_bundle(saved)

    @pytest.mark.parametrize("size", [0, 7, 1000])
    def test_cut_file_is_found(self, saved, size):
        path = saved / WEIGHTS
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ModelError, match=WEIGHTS):
            load_bundle(saved)

    def test_folder_without_bundle(self, tmp_path):
        with pytest.raises(ModelError, match=r"no such file; give the folder that a bridge was saved in"):
            load_bundle(tmp_path)

    def test_file_in_the_way(self, busy, tmp_path):
        (tmp_path / "bundle").write_text("mine")
        with pytest.raises(OutputError, match="a file is in the way"):
            save_bundle(busy, tmp_path / "bundle")
        assert (tmp_path / "bundle").read_text() == "mine" and os.listdir(tmp_path) == ["bundle"]

    def test_saving_again_replaces(self, busy, bridge, saved, labels_of):
        save_bundle(bridge, saved)
        np.testing.assert_array_equal(
            load_bundle(saved).predict(labels_of(1), "toy"), bridge.predict(labels_of(1), "toy")
        )
