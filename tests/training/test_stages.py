"""The stages of a real training: they survive what kills them, and never see what they must not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from synth2obs.core.errors import ConfigError, OutputError
from synth2obs.io.shard.write import write_shard
from synth2obs.models.checkpoint import load_tensors
from synth2obs.models.decoder.encode import encode_linear
from synth2obs.models.decoder.from_grid import pca_residual
from synth2obs.training.build import first_state
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import STAGES, read_config, train
from synth2obs.training.stages.critic import SCATTER_STEP, CriticStage, _smooth_noise
from synth2obs.training.stages.instrument import _beyond, _lowest
from synth2obs.training.stages.morph import MorphStage
from synth2obs.training.tracking.store import open_store

SCRIPT = Path(__file__).with_name("one_training.py")
NAMES = [stage.name for stage in STAGES if stage.name != "anchors"]
"""Stages of a training without a table of anchors."""


def weights(folder):
    return load_tensors(folder / "bridge" / "bridge.safetensors")[0]


def checkpoint(folder, stage):
    return load_tensors(folder / "checkpoints" / f"{stage}.safetensors")


def same(found, expected):
    """Whether two sets of tensors agree bit by bit, NaN included."""
    assert found.keys() == expected.keys()
    different = [key for key in expected if not torch.equal(_bits(found[key]), _bits(expected[key]))]
    return not different, different


def _bits(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def training(folder, small, *overrides):
    """Train, or go on, in this process; the tracker is closed as the workflow would."""
    outcome = train(read_config(None, [*small, *overrides]), folder, progress=False)
    outcome.tracker.close("FINISHED")
    return outcome


@pytest.fixture(autouse=True)
def torch_stays(keep_torch):
    with keep_torch():
        yield


class TestKilled:
    @pytest.mark.parametrize(
        "stage, step, when",
        [
            pytest.param("theory", 2, "step", marks=pytest.mark.slow),
            pytest.param("theory", 1, "checkpoint", marks=pytest.mark.slow),
            pytest.param("latent", 1, "step", marks=pytest.mark.slow),
            pytest.param("labels", 1, "checkpoint", marks=pytest.mark.slow),
            ("morph", 2, "checkpoint"),
            pytest.param("morph", 1, "step", marks=pytest.mark.slow),
            pytest.param("gap", 1, "step", marks=pytest.mark.slow),
            pytest.param("critic", 1, "step", marks=pytest.mark.slow),
            pytest.param("critic", 0, "checkpoint", marks=pytest.mark.slow),
        ],
    )
    def test_kill_9_costs_nothing(self, stage, step, when, trained, small, new_folder, environment):
        folder, every_step = new_folder("killed"), "checkpoint_every=1"
        command = [sys.executable, str(SCRIPT), str(folder), stage, str(step), when, *small, every_step]
        died = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        path = folder / "checkpoints" / f"{stage}.safetensors"
        assert not path.exists() or checkpoint(folder, stage)[1]["step"] == step
        runs = json.loads((folder / "run.json").read_text())
        client = open_store(folder / "mlflow")
        assert client.get_run(runs["run"]).info.status == "RUNNING"

        training(folder, small, every_step)
        assert same(weights(folder), weights(trained.folder)) == (True, [])
        # Also what a stage keeps for itself: a correction that was refused shows in no weight.
        for each in NAMES:
            assert same(checkpoint(folder, each)[0], checkpoint(trained.folder, each)[0]) == (True, [])
        assert json.loads((folder / "run.json").read_text())["run"] == runs["run"]
        assert_logged_once(folder, trained)

    def test_what_is_compared_can_differ(self, trained):
        one = weights(trained.folder)
        name = next(key for key in one if key.endswith("gap.mean"))
        other = {**one, name: one[name].nextafter(torch.tensor(1.0))}
        assert same(other, one) == (False, [name])


def history(folder):
    """(stage, metric) → steps and values that the store has, and the status of every run."""
    runs = json.loads((folder / "run.json").read_text())
    client = open_store(folder / "mlflow")
    steps, states = {}, {"": client.get_run(runs["run"]).info.status}
    for stage, run in runs["stages"].items():
        found = client.get_run(run)
        states[stage] = found.info.status
        for key in found.data.metrics:
            values = client.get_metric_history(run, key)
            steps[stage, key] = sorted((metric.step, metric.value) for metric in values)
    return steps, states


def assert_logged_once(folder, trained):
    """The store has what that of an uninterrupted training has, and nothing twice."""
    steps, states = history(folder)
    expected = {key: value for key, value in history(trained.folder)[0].items() if key[0] != "evaluation"}
    assert steps == expected
    assert all(len({step for step, _ in found}) == len(found) for found in steps.values())
    assert set(states.values()) == {"FINISHED"}
    assert states.keys() == {"", *NAMES}


class TestResume:
    def test_another_configuration_is_refused_and_named(self, copy_of, small):
        before = weights(copy_of)
        with pytest.raises(ConfigError, match=r"decoder\.latent: 6 → 7.*new folder"):
            training(copy_of, small, "decoder.latent=7")
        assert same(weights(copy_of), before)[0]

    def test_what_does_not_change_the_numbers_may_change(self, copy_of, small, trained):
        training(copy_of, small, "evaluation.lines=5", "checkpoint_every=7")
        assert same(weights(copy_of), weights(trained.folder))[0]

    def test_a_bridge_that_cannot_be_written_ends_the_run_as_failed(self, copy_of, small):
        shutil.rmtree(copy_of / "bridge")
        (copy_of / "bridge").write_text("in the way")
        with pytest.raises(OutputError, match="a file is in the way"):
            training(copy_of, small)
        assert history(copy_of)[1][""] == "FAILED"


class TestInterrupted:
    def test_ctrl_c_exits_130_with_a_checkpoint(self, small, new_folder, environment):
        folder = new_folder("interrupted")
        settings = [*small, "checkpoint_every=1", "morph.steps=100000"]
        command = [sys.executable, "-m", "synth2obs.cli", "quickstart", "-o", str(folder), *settings]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            self.wait_for(process, folder / "checkpoints" / "morph.safetensors")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 130, said
        assert "stopped in morph after step" in said and "Traceback" not in said
        meta = checkpoint(folder, "morph")[1]
        assert meta["step"] > 0 and not meta["done"]
        states = history(folder)[1]
        assert states[""] == states["morph"] == "KILLED"
        assert states["theory"] == "FINISHED"

    @staticmethod
    def wait_for(process, path):
        deadline = time.monotonic() + 120
        while not path.exists():
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline, "no checkpoint"
            time.sleep(0.05)


def literature(change, trained_data, folder):
    """Shards of the training's own stars whose literature labels went through ``change``."""
    paths = []
    for name, survey in trained_data.surveys.items():
        spectra = change(survey.spectra)
        paths.append(f"data.surveys.{name}={write_shard(spectra, folder / f'{name}.h5')}")
    return paths


def shuffled(spectra):
    order = np.random.default_rng(3).permutation(len(spectra))
    labels = {name: column[order] for name, column in spectra.labels.items()}
    return replace(spectra, labels=labels)


def deleted(spectra):
    return replace(spectra, labels={}, label_errors={})


class TestWhatTrains:
    # Equal weights in two folders are at once the law that one seed gives one result.
    @pytest.mark.parametrize("change", [shuffled, deleted])
    def test_literature_labels_change_no_weight(self, change, domains, trained, small, new_folder, tmp_path):
        original = {name: survey.spectra for name, survey in domains.surveys.items()}
        assert all(np.isfinite(spectra.labels["teff"]).any() for spectra in original.values())
        paths = literature(change, domains, tmp_path)
        folder = new_folder("literature")
        training(folder, small, *paths)
        assert same(weights(folder), weights(trained.folder)) == (True, [])

    @pytest.mark.slow
    @pytest.mark.parametrize("change", ["seed=21", "data.max_stars=16"])
    def test_seed_and_stars_do_change_weights(self, change, trained, small, new_folder):
        folder = new_folder("changed")
        training(folder, small, change)
        assert not same(weights(folder), weights(trained.folder))[0]

    def test_every_stage_changes_what_it_is_for(self, trained):
        found = {name: checkpoint(trained.folder, name)[0] for name in NAMES}

        def moved(before, after):
            keys = [key for key in found[after] if key.startswith("bridge/")]
            return {
                key.removeprefix("bridge/").replace("models.miles.", "")
                for key in keys
                if not torch.equal(_bits(found[before][key]), _bits(found[after][key]))
                and "stelib" not in key
            }

        def parts(before, after):
            return {key.split(".")[0] for key in moved(before, after)}

        assert parts("theory", "latent") == {
            *("decoder", "emulator", "distance", "theory_error"),
            *("distortion", "width_scale", "width_scale_error"),
        }
        assert not any("trunk" in key for key in moved("theory", "latent"))
        assert parts("latent", "labels") == {"noise", "gap", "unexplained"}
        assert "gap.mean" not in moved("latent", "labels")
        assert parts("labels", "morph") == {"morph", "density"}
        assert parts("morph", "gap") in ({"gap"}, {"gap", "morph"})  # a morph that earns nothing is undone
        assert moved("gap", "critic") <= {"gap.mean", "gap.scatter"}

    def test_the_decoder_never_sees_a_star(self, domains, small, trained):
        """Spectra of the training stars are not even there: theory's checkpoint needs none of them."""
        config = read_config(None, small)
        blind = replace(
            domains,
            surveys={
                name: replace(survey, spectra=replace(survey.spectra, flux=np.ones_like(survey.spectra.flux)))
                for name, survey in domains.surveys.items()
            },
        )
        torch.set_num_threads(config.threads)
        torch.use_deterministic_algorithms(True)
        state = first_state(config, blind)
        stage = STAGES[0](state, config.theory)
        for index in range(stage.steps):
            stage.step(index)
        stage.finish()
        expected = {
            key.removeprefix("bridge/"): value
            for key, value in checkpoint(trained.folder, "theory")[0].items()
            if key.startswith("bridge/")
        }
        assert same(dict(state.bridge.state_dict()), expected) == (True, [])


@pytest.fixture(scope="module")
def state(domains, small, trained, keep_torch):
    """The session's training in memory, as its last stage left it."""
    with keep_torch():
        config = read_config(None, small)
        state = first_state(config, domains)
        CriticStage(state, config.critic).load(checkpoint(trained.folder, "critic")[0])
        return state


class TestTheory:
    def test_a_linear_decoder_is_encoded_exactly(self, state):
        branch, basis = state.bridge.decoder.branch, state.bridge.decoder.trunk.table()
        truth = 0.1 * torch.randn(5, branch.skip.shape[1], generator=torch.Generator().manual_seed(1))
        ivar = torch.full((5, len(basis)), 1e8)
        with torch.no_grad():
            found = encode_linear(branch, basis, branch(truth) @ basis.T, ivar, "gauss-newton")
        assert (found - truth).abs().max() < 1e-3

    def test_a_masked_pixel_is_a_no_op(self, state):
        branch, basis = state.bridge.decoder.branch, state.bridge.decoder.trunk.table()
        flux = 0.01 * torch.randn(3, len(basis), generator=torch.Generator().manual_seed(2))
        ivar = torch.full_like(flux, 1e6)
        ivar[:, 100:200] = 0.0
        spoiled = flux.clone()
        spoiled[:, 100:200] = 7.0
        with torch.no_grad():
            first, second = (encode_linear(branch, basis, f, ivar, "gauss-newton") for f in (flux, spoiled))
        assert torch.equal(first, second)

    def test_the_published_step_is_another(self, state):
        branch, basis = state.bridge.decoder.branch, state.bridge.decoder.trunk.table()
        flux, ivar = 0.01 * basis[:, :1].T, torch.full((1, len(basis)), 1e6)
        with torch.no_grad():
            both = [encode_linear(branch, basis, flux, ivar, kind) for kind in ("gauss-newton", "published")]
        assert both[0].shape == both[1].shape and not torch.allclose(both[0], both[1])

    def test_components_leave_nothing_of_a_spectrum_in_their_span(self):
        random = torch.Generator().manual_seed(0)
        train = torch.randn(20, 3, generator=random) @ torch.randn(3, 50, generator=random)
        test = train[:4].mean(0, keepdim=True)
        assert pca_residual(train, test, 3).abs().max() < 1e-5
        assert pca_residual(train, test + torch.randn(1, 50, generator=random), 3).abs().max() > 0.1

    def test_held_out_spectra_are_held_out(self, state):
        assert 0 < int((~state.kept).sum()) < len(state.kept) / 2
        assert len(state.bridge.emulator.centres) == int(state.kept.sum())


class TestWidths:
    @pytest.mark.parametrize(
        "chi2, further",
        [
            ([3.0, 1.0, 2.0], None),
            ([1.0, 2.0, 3.0], 0.8),
            ([3.0, 2.0, 1.0], 1.2),
        ],
    )
    def test_the_search_goes_on_while_the_best_is_at_an_end(self, chi2, further):
        assert _beyond([0.9, 1.0, 1.1], chi2) == further

    def test_the_search_ends(self):
        assert _beyond([0.5, 0.6, 0.7], [1.0, 2.0, 3.0]) is None
        assert _beyond([2.3, 2.4, 2.5], [3.0, 2.0, 1.0]) is None

    @pytest.mark.parametrize("truth", [0.93, 1.0, 1.08])
    def test_a_parabola_has_its_lowest_point(self, truth):
        x = torch.tensor([0.8, 0.9, 1.0, 1.1, 1.2], dtype=torch.float64)
        chi2 = 100 * (1 + (x - truth).square()).expand(16, -1)
        best, error = _lowest(x, chi2)
        assert best == pytest.approx(truth, abs=1e-3) and error < 1e-3

    def test_the_error_is_the_scatter_of_the_stars(self):
        x = torch.tensor([0.8, 0.9, 1.0, 1.1, 1.2], dtype=torch.float64)
        own = 1.0 + 0.05 * torch.randn(64, 1, generator=torch.Generator().manual_seed(4)).double()
        best, error = _lowest(x, 100 * (1 + (x - own).square()))
        assert abs(best - 1.0) < 0.03 and 0.002 < error < 0.03


class TestMorph:
    def test_a_resumed_stage_has_the_stars_it_had_encoded(self, state):
        stage = MorphStage(state, state.bridge.survey("miles").config.morph)
        before = {key: value.clone() for key, value in state.bridge.state_dict().items()}
        stage.step(0)
        fresh = MorphStage(state, state.bridge.survey("miles").config.morph)
        fresh.load_extra(stage.extra())
        assert fresh.latents.keys() == stage.latents.keys() == {"grid", "miles", "stelib"}
        assert all(
            torch.equal(*pair)
            for name in stage.latents
            for pair in zip(stage.latents[name], fresh.latents[name], strict=True)
        )
        state.bridge.load_state_dict(before)

    def test_a_density_starts_at_the_moments_of_its_sample(self, state):
        from synth2obs.models.alignment.density import FlowDensity
        from synth2obs.models.alignment.settings import DensityConfig

        random = torch.Generator().manual_seed(0)
        mixing = torch.randn(4, 4, generator=random, dtype=torch.float64)
        u = torch.randn(4000, 4, generator=random, dtype=torch.float64) @ mixing + 3.0
        density = FlowDensity(4, DensityConfig(layers=2, hidden=8)).double()
        plain = density.log_prob(u).mean()
        density.start(u)
        draws = density.sample(20000, generator=random)
        shrunk = 0.9 * torch.cov(u.T) + 0.1 * torch.eye(4)
        assert torch.allclose(draws.mean(0), u.mean(0), atol=0.1)
        assert torch.allclose(torch.cov(draws.T), shrunk, atol=0.05 * float(shrunk.abs().max()))
        assert density.log_prob(u).mean() > plain


class TestCritic:
    @pytest.fixture
    def stage(self, state, small):
        before = {key: value.clone() for key, value in state.bridge.state_dict().items()}
        yield CriticStage(state, read_config(None, small).critic)
        state.bridge.load_state_dict(before)

    def test_a_correction_that_harms_validation_stars_is_refused(self, stage, state):
        gap = state.bridge.survey("miles").gap
        before = gap.mean.clone(), gap.scatter.clone()
        stage.change["miles"].data[0] = 0.05 * torch.sin(torch.arange(gap.mean.shape[1]) / 3.0)
        metrics = stage.finish()
        assert metrics["miles/kept"] == 0.0
        assert metrics["miles/validation_nll_after"] > metrics["miles/validation_nll_before"]
        assert torch.equal(gap.mean, before[0]) and torch.equal(gap.scatter, before[1])

    @pytest.mark.parametrize("factor", [0.1, 10.0])
    def test_a_scatter_that_is_not_that_of_validation_stars_is_refused(self, factor, stage, state):
        scatter = state.bridge.survey("miles").gap.scatter
        before = scatter.fill_(2e-5).clone()  # what validation stars have, beside the noise
        state.bridge.survey("miles").noise.white.fill_(1.0)
        stage.change["miles"].data[-1] = np.log(factor)
        assert stage.finish()["miles/kept"] == 0.0
        assert torch.equal(scatter, before)

    def test_a_correction_that_harms_nobody_is_kept(self, stage, state):
        gap = state.bridge.survey("miles").gap
        before = gap.mean.clone(), gap.scatter.fill_(1e-4).clone()
        stage.change["miles"].data.fill_(1e-5)
        assert stage.finish()["miles/kept"] == 1.0
        assert torch.allclose(gap.mean, before[0] + 1e-5, rtol=0, atol=1e-8)
        assert torch.allclose(gap.scatter, before[1] * (1 + 2e-5), rtol=1e-6)

    def test_without_validation_stars_nothing_is_kept(self, stage, state, monkeypatch):
        nobody = {
            name: replace(survey, part=np.where(survey.part == "validation", "test", survey.part))
            for name, survey in state.domains.surveys.items()
        }
        monkeypatch.setattr(state, "domains", replace(state.domains, surveys=nobody))
        assert stage.finish()["miles/kept"] == 0.0

    def test_a_step_moves_the_gap_by_its_strength_and_no_label(self, stage, state):
        before = {key: value.clone() for key, value in state.bridge.state_dict().items()}
        stars = {name: stars.x.clone() for name, stars in state.stars.items()}
        stage.step(0)
        *gap, scatter = stage.change["miles"].detach()
        assert float(torch.stack(gap).square().mean().sqrt()) == pytest.approx(
            stage.config.strength, rel=1e-3
        )
        assert float(scatter.square().mean().sqrt()) == pytest.approx(SCATTER_STEP, rel=1e-3)
        assert not stage.change["stelib"].detach().any()
        assert same(dict(state.bridge.state_dict()), before)[0]
        assert all(torch.equal(state.stars[name].x, x) for name, x in stars.items())

    def test_fakes_have_the_masks_and_the_power_of_real_stars(self, stage):
        stage.step(0)
        random = torch.Generator().manual_seed(0)
        real, fake = stage._real("miles", random), stage._fake("miles", random)
        assert real.shape == fake.shape
        assert not fake[:, 0][fake[:, 1] == 0].any()
        power = fake[:, 0].square().sum() / fake[:, 1].sum()
        assert 0.5 < power < 1.5

    @pytest.mark.parametrize("correlation", [1.0, 3.0, 6.0])
    def test_smooth_noise_is_as_correlated_as_asked(self, correlation):
        noise = _smooth_noise(torch.Size([400, 512]), correlation, torch.Generator().manual_seed(1)).double()
        assert float(noise.square().mean()) == pytest.approx(1.0, rel=0.03)
        lags = [float((noise[:, lag:] * noise[:, :-lag]).mean()) for lag in range(1, 40)]
        assert 1 + 2 * sum(lags) == pytest.approx(max(correlation, 0.3 / 0.28), rel=0.15)


class TestConfig:
    def test_settings_of_the_quick_start_are_valid_and_complete(self):
        config = read_config(None)
        assert config.data.surveys == TrainConfig().data.surveys
        assert [stage.name for stage in STAGES] == [
            "theory",
            "latent",
            "labels",
            "morph",
            "gap",
            "critic",
            "anchors",
        ]

    def test_an_unknown_key_lists_the_known(self):
        with pytest.raises(
            ConfigError, match=r"theory: unknown 'stepz'; known: steps, learning_rate, .*'steps'"
        ):
            read_config(None, ["theory.stepz=3"])


def test_a_training_leaves_what_the_guide_says(trained):
    found = set(os.listdir(trained.folder))
    assert {"bridge", "checkpoints", "card.json", "evaluation", "metrics.json", "mlflow", "report"} <= found
    card = json.loads((trained.folder / "card.json").read_text())
    assert card["config"]["data"]["max_stars"] == 24
    assert {"grid", "miles", "stelib"} == card["digests"].keys()
