"""Laws of a simulated survey: nothing leaks, nothing is in two places, and everything is as it was asked for."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from synth2obs.analysis.proof.features import find_features, responses
from synth2obs.analysis.proof.missing import balanced
from synth2obs.analysis.proof.observe import Defects, Seeing, observe
from synth2obs.analysis.proof.population import direction_of, divide, drawn, tilted
from synth2obs.analysis.proof.simulate import read_kind, simulate
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.errors import DataError
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.write import write_shard

SEED = 20


def labels_of(spectra):
    return {tuple(row) for row in np.stack(list(spectra.labels.values()), axis=1).astype(np.float32)}


class TestNothingLeaks:
    def test_no_shard_of_stars_has_a_label_a_velocity_or_a_name_of_the_grid(self, placebo, grid, tmp_path):
        placebo.write(tmp_path)
        for name in ("survey.h5", "held.h5"):
            assert not check_shard(tmp_path / name)
            with h5py.File(tmp_path / name) as file:
                assert not len(file["labels"]) and "native" not in file
                assert np.isnan(file["rv"][:]).all() and np.isnan(file["rv_error"][:]).all()
                assert not set(file["id"].asstr()[:]) & set(grid.id)
                assert len(set(file["snr"][:])) == 1

    def test_truth_comes_back_from_its_own_file(self, lacking, tmp_path):
        lacking.write(tmp_path)
        back = Truth.load(tmp_path / "truth.npz")
        assert back.facts() == lacking.truth.facts()
        for name, value in vars(lacking.truth).items():
            np.testing.assert_array_equal(getattr(back, name), value)

    def test_theory_and_nature_have_no_labels_in_common(self, placebo, grid):
        theory, truth = labels_of(placebo.theory), placebo.truth
        for table in (truth.labels, truth.held_labels):
            assert not theory & {tuple(row) for row in table.astype(np.float32)}
        assert len(placebo.theory) < len(grid)

    def test_stars_that_train_and_stars_that_score_have_no_spectrum_in_common(self, placebo):
        assert not set(placebo.truth.spectrum) & set(placebo.truth.held_spectrum)

    def test_spectra_with_gradients_stay_theory(self, placebo, grid):
        assert len(placebo.theory.gradients) == len(grid.gradients)

    def test_another_physics_gives_up_the_same_labels(self, grid):
        other = replace(grid, domain="other", flux=0.9 * grid.flux, gradients=None)
        theory, nature = divide(grid, other, 0.3, SEED)
        assert not labels_of(grid.take(theory)) & labels_of(other.take(nature))

    def test_the_truth_of_another_physics_is_nature_minus_the_grid_at_the_same_labels(
        self, grid, config, tmp_path
    ):
        other = replace(grid, flux=1.0 - 0.9 * (1.0 - grid.flux), gradients=None)
        truth = simulate(config, Twist(nature=str(write_shard(other, tmp_path / "other.h5"))), SEED).truth
        same = simulate(config, Twist(), SEED).truth
        assert not truth.listed and same.listed and not same.gap.size
        # Lines a tenth shallower than the grid's, of the same depth in all stars that the survey shows at rest.
        assert 0 < truth.gap.mean() < 0.1 * (1.0 - truth.held_flux.min())
        assert truth.gap.min() > -1e-4


class TestAsAskedFor:
    def test_the_same_seed_gives_the_same_survey(self, config, placebo):
        again = simulate(config, Twist(), SEED)
        np.testing.assert_array_equal(again.survey.flux, placebo.survey.flux)

    def test_signal_to_noise(self, placebo, config):
        survey = placebo.survey
        ratio = np.where(survey.ivar > 0, survey.flux * np.sqrt(survey.ivar), np.nan)
        np.testing.assert_allclose(np.nanmedian(ratio, axis=1), config.snr, rtol=0.03)

    @pytest.mark.parametrize("noise", [1.0, 1.3])
    def test_noise_is_what_is_stated_times_what_was_asked(self, grid, config, noise):
        template = cut_wavelengths(read_kind(config.template, "survey"), config.start, config.stop)
        flat = replace(grid.take(np.arange(40)), flux=np.ones_like(grid.flux[:40]))
        seeing = Seeing(snr=80.0, rv_spread=0.0, continuum=0.0, defects=Defects(noise=noise))
        seen = observe(flat, template, seeing, "flat", SEED).spectra
        pull = ((seen.flux - 1.0) * np.sqrt(seen.ivar))[seen.ivar > 0]
        assert pull.std() == pytest.approx(noise, abs=0.03)
        assert pull.mean() == pytest.approx(0.0, abs=0.03)

    @pytest.mark.parametrize("drift", [0.5, 1.0])
    def test_drift_moves_the_mean_by_what_it_says(self, config, grid, drift):
        large = config.model_copy(update={"stars": 2000})
        truth = simulate(large, Twist(drift=drift), SEED).truth
        _, nature = divide(grid, grid, config.nature_share, SEED)
        along = dict(zip(nature.tolist(), direction_of(grid.take(nature), config.direction), strict=True))
        for rows in (truth.spectrum, truth.held_spectrum):
            assert np.mean([along[row] for row in rows.tolist()]) == pytest.approx(drift, abs=0.02)

    def test_a_drift_out_of_reach_is_refused(self):
        with pytest.raises(DataError, match="out of reach"):
            tilted(np.linspace(-1.7, 1.7, 50), 2.0)

    def test_no_drift_draws_every_spectrum_as_often(self):
        rows = drawn(np.ones(10), 25, np.random.default_rng(0))
        assert set(np.bincount(rows, minlength=10)) == {2, 3}

    def test_a_stretch_moves_the_ends_apart(self):
        stated = np.geomspace(5000, 6000, 101)
        kms = 299792.458 * np.log(Defects(zero_point=5.0, stretch=25.0).wavelength(stated) / stated)
        np.testing.assert_allclose(kms[[0, 50, -1]], [-20.0, 5.0, 30.0], atol=1e-6)

    def test_wider_lines_are_shallower(self, config):
        wide = simulate(config, Twist(defects=Defects(line_spread=1.5)), SEED).truth.held_flux
        usual = simulate(config, Twist(), SEED).truth.held_flux
        assert np.diff(wide).std() < 0.85 * np.diff(usual).std()


class TestMissingLines:
    def test_windows_are_at_the_continuum(self, lacking, placebo):
        truth, theory = lacking.truth, lacking.theory
        pairs = zip(truth.line_start, truth.line_stop, truth.line_removed, strict=True)
        for start, stop, removed in pairs:
            cells = (theory.wavelength >= start) & (theory.wavelength <= stop)
            assert cells.any()
            if removed:
                np.testing.assert_allclose(theory.flux[:, cells], 1.0, atol=1e-6)
                for rows in theory.gradients.values.values():
                    np.testing.assert_allclose(rows[:, cells], 0.0, atol=1e-9)

    def test_lines_that_are_too_weak_keep_their_shape_and_half_their_gradient(self, config, lacking, placebo):
        half = simulate(config, Twist(missing=0.3, strength=0.5), SEED)
        np.testing.assert_array_equal(half.truth.line_removed, lacking.truth.line_removed)
        between = 0.5 * (placebo.theory.flux + lacking.theory.flux)
        np.testing.assert_allclose(half.theory.flux, between, atol=1e-6)
        np.testing.assert_allclose(half.truth.gap, 0.5 * lacking.truth.gap, atol=1e-6)
        for name, rows in half.theory.gradients.values.items():
            both = placebo.theory.gradients.values[name] + lacking.theory.gradients.values[name]
            np.testing.assert_allclose(rows, 0.5 * both, atol=1e-6)

    def test_theory_is_the_same_elsewhere_and_nature_everywhere(self, lacking, placebo):
        truth, wavelength = lacking.truth, lacking.theory.wavelength
        middle = truth.line_wavelength[truth.line_removed]
        far = np.abs(wavelength[:, None] - middle).min(1) > 8.0
        assert far.any()
        np.testing.assert_array_equal(lacking.theory.flux[:, far], placebo.theory.flux[:, far])
        np.testing.assert_array_equal(lacking.survey.flux, placebo.survey.flux)

    def test_the_true_gap_is_nature_minus_theory(self, lacking, config, grid):
        truth = lacking.truth
        assert truth.gap.min() < -0.02 and truth.gap.max() < 1e-3
        assert truth.line_depth.shape == (len(truth.held_labels), len(truth.line_removed))
        deep = truth.line_depth.mean(0)
        assert np.median(deep[truth.line_removed]) > 3 * np.median(deep[~truth.line_removed])

    def test_features_are_of_one_element_and_do_not_overlap(self, grid):
        found = find_features(grid, 4200.0, 7350.0, 0.05)
        assert len(found) > 100
        assert len({feature.element for feature in found}) > 8
        assert all(one.stop < two.start for one, two in zip(found, found[1:], strict=False))
        assert all(abs(feature.wavelength - 6564.6) > 20 for feature in found)

    @pytest.mark.parametrize(
        "element, air", [("Ba", 4554.03), ("Mg", 5528.40), ("Na", 5682.63), ("Al", 6696.02), ("Si", 6237.32)]
    )
    def test_known_lines_are_whose_they_are(self, grid, element, air):
        found = [f for f in find_features(grid, 4200.0, 7350.0, 0.05) if f.element == element]
        assert min(abs(f.wavelength - 1.00028 * air) for f in found) < 0.5

    def test_iron_is_what_the_others_leave(self, grid):
        found = responses(grid.gradients)
        total = np.sum(list(found.values()), axis=0)
        np.testing.assert_allclose(total, grid.gradients.values["fe_h"], atol=1e-6)

    def test_a_share_is_balanced_and_leaves_half_of_every_element(self):
        elements = ["Fe"] * 40 + ["Mg"] * 4 + ["Na"] * 3
        chosen = balanced(elements, 14, SEED)
        names = np.array(elements)
        assert {name: int(chosen[names == name].sum()) for name in ("Fe", "Mg", "Na")} == {
            "Fe": 10,
            "Mg": 2,
            "Na": 2,
        }

    def test_a_grid_without_gradients_is_refused(self, grid):
        with pytest.raises(DataError, match="no gradient spectra.*grid gradients"):
            find_features(replace(grid, gradients=None), 5000.0, 5300.0, 0.05)


def test_a_grid_of_too_few_spectra_is_refused(grid):
    with pytest.raises(DataError, match="12 are needed"):
        divide(grid.take(np.arange(20)), grid.take(np.arange(20)), 0.3, SEED)
