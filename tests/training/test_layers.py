"""Layers of the rest frame: whose spectra they have, who sees which, and one latent for all."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import sigma_of_resolving_power
from synth2obs.io.embedded import embedded_path
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.models.bundle import load_bundle, save_bundle
from synth2obs.models.fit.task import encode
from synth2obs.training.build import first_state
from synth2obs.training.domains import load_domains
from synth2obs.training.layers import layer_of, same_rows, seen_pixels
from synth2obs.training.run import read_config
from synth2obs.training.stages.latent import LatentStage
from synth2obs.training.stages.theory import TheoryStage
from synth2obs.training.theory_errors import grid_latents, held_out_errors

WINDOW = (5155.0, 5245.0)
SHARP, BLUNT = 5500.0, 1800.0


@pytest.fixture(scope="module")
def optical():
    """Some spectra of the embedded grid, without gradients."""
    grid = read_shard(embedded_path("optical_grid")).take(np.arange(0, 940, 4))
    return replace(cut_wavelengths(grid, 4960.0, 5440.0), gradients=None)


def blunter(grid, factor=3):
    """Every third sample of a grid, as if it had a third of the resolving power."""
    thin = grid.cut(np.arange(grid.wavelength.size) % factor == 0)
    kernel = np.hanning(4 * factor + 1)
    flux = np.apply_along_axis(np.convolve, 1, grid.flux, kernel / kernel.sum(), "same")[:, ::factor]
    sigma = factor * np.asarray(thin.line_spread.sigma[0])
    return replace(thin, flux=flux, line_spread=LineSpread.gaussian(sigma, stars=len(thin)))


def observed(grid, resolving_power, name):
    """Noisy spectra of the grid at its own samples, with the width that a survey of a resolving power would state."""
    random = np.random.default_rng(3)
    sigma = sigma_of_resolving_power(np.asarray(grid.wavelength), resolving_power)
    unknown = np.full(len(grid), np.nan)
    return replace(
        grid,
        kind="survey",
        domain=name,
        flux=grid.flux + random.normal(0.0, 0.005, grid.flux.shape),
        ivar=np.full(grid.flux.shape, 4e4),
        flags=np.zeros(grid.flux.shape, np.uint32),
        id=np.array([f"{name}_{number}" for number in range(len(grid))]),
        line_spread=LineSpread.gaussian(sigma, stars=len(grid)),
        rv=np.zeros(len(grid)),
        rv_error=unknown,
        snr=np.full(len(grid), 200.0),
        flux_kind="relative",
        flag_names={},
        native={},
    )


@pytest.fixture(scope="module")
def config(optical, tmp_path_factory):
    """Two grids of the same stars, the sharper of fewer and in a window; one survey sees each."""
    folder = tmp_path_factory.mktemp("layers")
    window = cut_wavelengths(optical, *WINDOW)
    shuffled = np.random.default_rng(1).permutation(len(window))[10:]
    tables = {
        "first": blunter(optical),
        "window": window.take(shuffled),
        "sharp": observed(window.take(np.arange(0, 60)), SHARP, "sharp"),
        "blunt": observed(
            cut_wavelengths(blunter(optical), 5000.0, 5400.0).take(np.arange(40, 100)), BLUNT, "blunt"
        ),
    }
    paths = {name: write_shard(table, folder / f"{name}.h5") for name, table in tables.items()}
    text = f"""
        threads = 1
        [data]
        grid = "{paths["first"]}"
        start = 5000.0
        stop = 5400.0
        layers = {{ window = "{paths["window"]}" }}
        surveys = {{ sharp = "{paths["sharp"]}", blunt = "{paths["blunt"]}" }}
        [decoder]
        latent = 12
        rank = 40
        hidden = 200
        [theory]
        steps = 60
        spectra = 220
        [latent]
        steps = 4
        width_stars = 8
        distortion = false
    """
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return read_config(file)


@pytest.fixture(scope="module")
def state(config, keep_torch):
    """After the theory and the latent stage."""
    with keep_torch():
        state = first_state(config, load_domains(config.data, config.seed))
        for stage in (TheoryStage(state, config.theory), LatentStage(state, config.latent)):
            for index in range(stage.steps):
                stage.step(index)
            stage.finish()
    return state


class TestRows:
    def test_spectra_are_found_by_their_labels(self):
        first = {"teff": np.array([4000.0, 5000.0, 6000.0]), "fe_h": np.array([0.0, -1.0, 0.1])}
        other = {
            "fe_h": np.array([0.1, 0.0, 0.5]),
            "teff": np.array([6000.000001, 4000.0, 4000.0]),
            "mg_fe": np.ones(3),
        }
        np.testing.assert_array_equal(same_rows(first, other), [2, 0, -1])

    def test_a_missing_label_is_named(self):
        with pytest.raises(DataError, match="lacks fe_h"):
            same_rows({"fe_h": np.zeros(2)}, {"teff": np.zeros(2)})


@pytest.fixture(scope="module")
def grids(optical):
    return {"": blunter(optical), "window": cut_wavelengths(optical, *WINDOW)}


class TestChoice:
    def test_the_coarsest_that_is_sharp_enough(self, optical, grids):
        window = cut_wavelengths(optical, *WINDOW)
        assert layer_of(observed(window, BLUNT, "s"), grids) == ""
        assert layer_of(observed(window, SHARP, "s"), grids) == "window"

    def test_reach_counts_before_sampling(self, optical, grids):
        assert (
            layer_of(observed(optical, BLUNT, "s"), {"window": grids["window"], "whole": optical}) == "whole"
        )

    def test_pixels_in_holes_are_not_seen(self, optical, grids):
        survey = observed(optical, SHARP, "s")
        seen = survey.wavelength[seen_pixels(survey, grids["window"])]
        assert WINDOW[0] <= seen.min() and seen.max() <= WINDOW[1]

    def test_refusals_say_why(self, optical, grids):
        window = cut_wavelengths(optical, *WINDOW)
        with pytest.raises(DataError, match="sharper than the grid"):
            layer_of(observed(window, 40_000.0, "s"), grids)
        far = replace(observed(window, SHARP, "s"), wavelength=window.wavelength + 3000.0)
        with pytest.raises(DataError, match="no grid has a pixel"):
            layer_of(far, grids)


class TestData:
    def test_every_survey_has_its_layer_and_pixels(self, config):
        domains = load_domains(config.data, config.seed)
        assert {name: survey.layer for name, survey in domains.surveys.items()} == {
            "sharp": "window",
            "blunt": "",
        }
        layer = domains.grid.finer["window"]
        assert (np.diff(layer.rows) > 0).all() and len(layer.rows) == len(domains.grid.spectra) - 10
        for name in ("teff", "ti_fe"):
            same = domains.grid.spectra.labels[name][layer.rows]
            np.testing.assert_allclose(layer.spectra.labels[name], same)

    def test_a_layer_of_other_stars_is_refused(self, config, optical, tmp_path):
        other = replace(optical, labels={**optical.labels, "teff": optical.labels["teff"] + 1.0})
        path = write_shard(other, tmp_path / "other.h5")
        data = config.data.model_copy(update={"layers": {"other": str(path)}})
        with pytest.raises(DataError, match="0 of its"):
            load_domains(data, config.seed)


class TestTheory:
    def test_one_latent_serves_both_layers(self, state):
        latents = grid_latents(state)
        for part in state.parts():
            kept = state.kept[part.rows]
            error = part.decoder(latents[part.rows[kept]]) - part.flux[kept]
            spread = part.flux[kept] - part.flux[kept].mean(0)
            assert error.square().mean() < 0.05 * spread.square().mean()

    def test_both_are_measured_on_spectra_left_out(self, state):
        found = held_out_errors(state, grid_latents(state))
        assert {"rms", "emulator_rms", "window_rms", "window_emulator_rms"} <= found.keys()
        assert found["window_rms"] < found["window_pca_rms"]

    def test_labels_reach_both(self, state):
        labels = state.domains.grid.values[:3]
        for survey in ("sharp", "blunt"):
            assert np.isfinite(state.bridge.predict(labels, survey)).any(1).all()
            assert (state.bridge.theory_error_of(survey).remainder > 0).any()

    def test_stars_of_both_are_encoded(self, state):
        for survey in ("sharp", "blunt"):
            seen = state.seen[survey].take(torch.arange(4))
            assert encode(state.bridge, seen).u.isfinite().all()

    def test_a_bundle_keeps_both(self, state, tmp_path):
        loaded = load_bundle(save_bundle(state.bridge, tmp_path / "bridge"))
        assert list(loaded.layers) == ["", "window"]
        labels = state.domains.grid.values[:2]
        for survey in loaded.surveys:
            np.testing.assert_array_equal(
                loaded.predict(labels, survey), state.bridge.predict(labels, survey)
            )
