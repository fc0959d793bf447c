import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from synth2obs.core.errors import Interrupted, ModelError, OutputError
from synth2obs.core.files import file_sha256
from synth2obs.core.labels import LabelSpace
from synth2obs.models.checkpoint import load_tensors
from synth2obs.training.loop import run_stages
from synth2obs.training.provenance import folder_sha256, git_state, package_versions
from synth2obs.training.tracking import read_only
from synth2obs.training.tracking.store import open_store
from synth2obs.training.tracking.tracker import NullTracker, Tracker
from synth2obs.training.tracking.ui import experiment_url, ui_command

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning"),
]

NAMES = ("teff", "logg", "fe_h")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One store for all tests; to create one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    open_store(folder)
    return folder


@pytest.fixture
def begin(store, tmp_path):
    def begin(out="out", **options):
        return Tracker.open(tmp_path / out, grid="marcs", surveys=("miles", "galah"), store=store, **options)

    return begin


def wait_for(server, address, seconds=90):
    """The JSON at an address, once the server answers."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"no answer from {address} in {seconds} s")


def history(tracker, run, key):
    found = tracker.client.get_metric_history(run, key)
    return sorted((metric.step, metric.value) for metric in found)


def stage_run(tracker, name):
    return json.loads(tracker._record.read_text())["stages"][name]


def status(tracker, run):
    return tracker.client.get_run(run).info.status


class TestRuns:
    def test_a_training_and_its_stages(self, begin, store):
        tracker = begin()
        tracker.start_stage("A")
        tracker.log(0, {"loss": 2.0, "fe_h/bias": 0.1})
        tracker.log(1, {"loss": 1.0})
        tracker.end_stage()
        tracker.log(0, {"total": 5.0})
        tracker.close()
        run = stage_run(tracker, "A")
        assert history(tracker, run, "loss") == [(0, 2.0), (1, 1.0)]
        assert history(tracker, tracker.run, "total") == [(0, 5.0)]
        assert tracker.client.get_run(run).data.tags["mlflow.parentRunId"] == tracker.run
        assert status(tracker, run) == status(tracker, tracker.run) == "FINISHED"
        assert tracker.client.get_experiment(tracker.experiment).name == "marcs × miles + galah"
        assert (store / "mlflow.db").is_file()

    def test_what_was_logged_is_not_logged_again(self, begin):
        tracker = begin()
        tracker.start_stage("A")
        for step in range(3):
            tracker.log(step, {"loss": float(step), "late": float("nan")})
        tracker.flush()
        tracker.log(3, {"loss": 3.0})
        del tracker

        resumed = begin()
        resumed.start_stage("A")
        for step in range(1, 5):
            resumed.log(step, {"loss": float(step), "late": float("nan") if step < 4 else 0.5})
        resumed.close()
        run = stage_run(resumed, "A")
        assert history(resumed, run, "loss") == [(step, float(step)) for step in range(5)]
        assert history(resumed, run, "late") == [(4, 0.5)]
        tags = resumed.client.get_run(run).data.tags
        assert json.loads(tags["synth2obs.nonfinite_metrics"]) == {"late": {"count": 4, "last_step": 3}}

    def test_a_resume_continues_the_same_runs_and_ends_them(self, begin):
        first = begin()
        first.start_stage("A")
        first.flush()
        run = stage_run(first, "A")
        assert status(first, run) == "RUNNING"
        again = begin()
        assert again.run == first.run
        again.start_stage("A")
        assert stage_run(again, "A") == run
        again.start_stage("B")
        again.close("KILLED")
        runs = (run, stage_run(again, "B"), again.run)
        assert [status(again, each) for each in runs] == ["KILLED"] * 3
        final = begin()
        assert status(final, final.run) == "RUNNING"
        final.close()
        assert status(final, final.run) == "FINISHED" and status(final, run) == "KILLED"

    def test_a_crash_before_the_ids_are_kept_orphans_no_run(self, begin):
        first = begin()
        first._record.write_text(json.dumps({"token": first._token}))
        assert begin().run == first.run

    def test_other_folders_get_other_runs(self, begin):
        assert begin("a").run != begin("b").run

    def test_more_metrics_than_one_batch(self, begin):
        tracker = begin()
        tracker.start_stage("A")
        for step in range(2300):
            tracker.log(step, {"loss": 1.0 / (step + 1)})
        tracker.close()
        assert len(history(tracker, stage_run(tracker, "A"), "loss")) == 2300

    def test_a_store_that_fails_half_way_keeps_the_rest_once(self, begin, monkeypatch):
        from mlflow.exceptions import MlflowException

        tracker, calls = begin(), []
        tracker.start_stage("A")
        for step in range(1500):
            tracker.log(step, {"loss": 1.0})
        write = tracker.client.log_batch

        def once(*args, **options):
            calls.append(1)
            if len(calls) == 2:
                raise MlflowException("database or disk is full")
            return write(*args, **options)

        monkeypatch.setattr(tracker.client, "log_batch", once)
        with pytest.raises(OutputError, match="disk is full; see that"):
            tracker.flush()
        tracker.close("FAILED")
        assert len(history(tracker, stage_run(tracker, "A"), "loss")) == 1500

    def test_names_that_mlflow_refuses_are_named(self, begin):
        with pytest.raises(ValueError, match=r"metric '\[Fe/H\] bias' .*write 'fe_h/bias'"):
            begin().log(0, {"[Fe/H] bias": 0.1})

    def test_a_damaged_record_is_named(self, begin, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "run.json").write_text("{")
        with pytest.raises(OutputError, match=r"run\.json: cannot be read .*delete it"):
            begin()

    def test_a_file_that_is_no_store_is_refused(self, tmp_path):
        (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
        with pytest.raises(OutputError, match="store"):
            open_store(tmp_path)


class TestDescription:
    def test_parameters_inputs_and_versions(self, begin, tmp_path):
        shard = tmp_path / "miles.h5"
        shard.write_bytes(b"flux")
        settings = {"decoder.rank": 24, "weights.[Fe/H]": 1.0, "long": "x" * 9000, "tracked": True}
        settings |= {f"many.{index}": index for index in range(150)}
        options = dict(settings=settings, config_text="seed = 1\n", datasets={"miles": shard})
        begin(**options)
        tracker = begin(**options)
        run = tracker.client.get_run(tracker.run)
        assert run.data.params["decoder.rank"] == "24" and run.data.params["weights._Fe/H_"] == "1.0"
        assert len(run.data.params) == 154 and run.data.params["long"] == "x" * 6000
        assert run.data.tags["version.torch"] == package_versions()["torch"]
        (used,) = run.inputs.dataset_inputs
        sha256 = hashlib.sha256(b"flux").hexdigest()
        assert used.dataset.name == "miles" and used.dataset.digest == sha256[:36]
        assert json.loads(used.dataset.profile) == {"sha256": sha256, "bytes": 4}
        text = Path(run.info.artifact_uri, "config", "resolved.toml").read_text()
        assert text == "seed = 1\n"

    def test_figures_and_reports(self, begin, tmp_path):
        from matplotlib.figure import Figure

        report = tmp_path / "miles.html"
        report.write_text("<p>")
        tracker = begin()
        tracker.figure(Figure(), "gap.png")
        tracker.artifact(report)
        (tmp_path / "assets").mkdir()
        (tmp_path / "assets" / "stars.js").write_text("1")
        tracker.artifact(tmp_path / "assets")
        root = Path(tracker.client.get_run(tracker.run).info.artifact_uri)
        assert (root / "figures" / "gap.png").stat().st_size > 0
        assert (root / "reports" / "miles.html").read_text() == "<p>"
        assert (root / "reports" / "assets" / "stars.js").read_text() == "1"

    def test_the_commit_is_kept_only_for_a_tracked_file(self, tmp_path, monkeypatch):
        def git(*arguments):
            subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

        for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            monkeypatch.delenv(variable, raising=False)
        file = tmp_path / "a.py"
        file.write_text("")
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert git_state(file) == {}
        git("init", "-q")
        assert git_state(file) == {}
        git("add", "a.py")
        git("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "a")
        state = git_state(file)
        assert len(state["git.commit"]) == 40 and state["git.dirty"] == "false"
        file.write_text("x = 1")
        assert git_state(file) == {**state, "git.dirty": "true"}
        monkeypatch.setenv("PATH", str(tmp_path))
        assert git_state(file) == {}

    def test_digests(self, tmp_path):
        (tmp_path / "a").write_bytes(b"1")
        one = folder_sha256(tmp_path)
        assert file_sha256(tmp_path / "a") == hashlib.sha256(b"1").hexdigest()
        (tmp_path / "a").rename(tmp_path / "b")
        assert folder_sha256(tmp_path) != one


def test_a_training_that_is_stopped_and_resumed_logs_every_step_once(toy, begin, tmp_path):
    class Stopped(toy.ToyStage):
        def step(self, index):
            if index == 12:
                os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    options = dict(checkpoint_every=5, progress=False)
    with pytest.raises(Interrupted):
        run_stages([Stopped("A", 20)], tmp_path / "out", begin, **options)
    checkpoint = tmp_path / "out" / "checkpoints" / "A.safetensors"
    again = begin()
    assert status(again, stage_run(again, "A")) == "KILLED"
    checkpoint.unlink()
    tracker = run_stages([toy.ToyStage("A", 20)], tmp_path / "out", begin, **options)
    tracker.close("FINISHED")
    run = stage_run(tracker, "A")
    assert [step for step, _ in history(tracker, run, "loss")] == list(range(20))
    assert [step for step, _ in history(tracker, run, "mean")] == [20]
    assert status(tracker, run) == "FINISHED"


@pytest.mark.slow
def test_a_training_that_is_killed_logs_every_step_once(toy, begin, store, tmp_path):
    script = Path(__file__).with_name("toy_stage.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    folder, checkpoint = tmp_path / "out", tmp_path / "out" / "checkpoints" / "A.safetensors"
    for after in (12, 31):
        process = subprocess.Popen([sys.executable, str(script), str(folder), str(store)], env=environment)
        while not checkpoint.exists() or load_tensors(checkpoint)[1]["step"] < after:
            assert process.poll() is None
            time.sleep(0.003)
        process.kill()
        process.wait()
    options = dict(checkpoint_every=100, progress=False)

    def reopen():
        return Tracker.open(folder, grid="marcs", surveys=("miles",), store=store)

    tracker = run_stages([toy.ToyStage(steps=1000)], folder, reopen, **options)
    run = stage_run(tracker, "A")
    assert [step for step, _ in history(tracker, run, "loss")] == list(range(1000))
    tracker.close("FINISHED")
    assert status(tracker, run) == status(tracker, tracker.run) == "FINISHED"


class TestInterface:
    @pytest.mark.slow
    def test_the_command_answers(self, begin, store):
        tracker = begin()
        tracker.close()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command, environment = ui_command(store, port)
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = subprocess.Popen(command, env=environment, start_new_session=True, **quiet)
        try:
            address = f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/get?run_id={tracker.run}"
            assert wait_for(server, address)["run"]["info"]["status"] == "FINISHED"
            upload = urllib.request.Request(
                f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts/strange.txt", b"x", method="PUT"
            )
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(upload, timeout=10)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)

    def test_the_command_serves_this_machine_only(self, store):
        command, environment = ui_command(store, 5123)
        assert command[:3] == [sys.executable, "-m", read_only.__name__]
        assert command[3:] == [f"sqlite:///{store}/mlflow.db", "5123"] and read_only.HOST == "127.0.0.1"
        assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
        assert experiment_url("7", 5123) == (
            "http://127.0.0.1:5123/#/experiments/7/runs?workflowType=machine_learning"
        )

    def test_a_folder_without_a_store_is_named(self, tmp_path):
        with pytest.raises(OutputError, match=r"no mlflow\.db there"):
            ui_command(tmp_path)

    def test_null_tracker_takes_everything(self):
        tracker = NullTracker()
        tracker.start_stage("A")
        tracker.log(0, {"loss": float("nan")})
        tracker.flush()
        tracker.end_stage()
        tracker.close("FINISHED")


@dataclass
class LinearBridge:
    """Stands for the real bridge: flux that is linear in the labels and in the velocity."""

    labels: LabelSpace
    weights: np.ndarray
    surveys: tuple[str, ...] = ("miles", "galah")

    def save(self, folder):
        np.save(Path(folder) / "weights.npy", self.weights)

    @classmethod
    def load(cls, folder):
        return cls(space(), np.load(Path(folder) / "weights.npy"))


def space():
    lower, upper = np.array([4000.0, 0.0, -2.0]), np.array([7000.0, 5.0, 0.5])
    return LabelSpace(NAMES, lower, upper, 0.5 * (lower + upper))


@pytest.fixture
def standin(monkeypatch):
    module = types.ModuleType("synth2obs.models.bundle")
    module.load_bundle = LinearBridge.load
    monkeypatch.setitem(sys.modules, "synth2obs.models.bundle", module)
    return LinearBridge(space(), np.random.default_rng(0).normal(size=(3, 7)))


@pytest.fixture
def bundle(standin, tmp_path):
    folder = tmp_path / "bundle"
    folder.mkdir()
    standin.save(folder)
    return folder


EXAMPLE = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}


class TestBridge:
    def test_what_is_registered_is_code_and_bundle(self, begin, store, bundle, standin):
        import mlflow
        import mlflow.pyfunc

        tracker = begin()
        address = tracker.log_bridge(bundle, EXAMPLE, name="optical", survey="miles")
        assert address == "models:/optical/1"
        assert tracker.log_bridge(bundle, EXAMPLE, name="optical", survey="miles") == address
        before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
        uri = f"sqlite:///{store}/mlflow.db"
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        try:
            loaded = mlflow.pyfunc.load_model("models:/optical@champion")
        finally:
            mlflow.set_tracking_uri(before[0])
            mlflow.set_registry_uri(before[1])
        root = Path(tracker.client.get_logged_model(loaded.metadata.model_id).artifact_location)
        files = [path.name for path in root.rglob("*") if path.is_file()]
        assert "weights.npy" in files and "served.py" in files
        assert not [name for name in files if name.endswith((".pkl", ".pickle"))]
        signature = loaded.metadata.signature
        assert signature.inputs is None
        assert {param.name for param in signature.params} == {"survey", "rv", "vsini", "vmac"}
        assert signature.outputs.input_names()[:2] == ["wavelength", "flux"]
        assert loaded.metadata.metadata["labels"]["teff"] == "K"
        assert np.array_equal(loaded.unwrap_python_model().bridge.weights, standin.weights)

    def test_another_bundle_becomes_the_champion(self, begin, bundle):
        tracker = begin()
        tracker.log_bridge(bundle, EXAMPLE, name="growing", survey="miles")
        (bundle / "more.json").write_text("{}")
        address = tracker.log_bridge(bundle, EXAMPLE, name="growing", survey="miles")
        assert address == "models:/growing/2"
        assert str(tracker.client.get_model_version_by_alias("growing", "champion").version) == "2"

    def test_missing_bundles_and_odd_names_are_refused(self, begin, bundle, tmp_path):
        tracker = begin()
        with pytest.raises(ModelError, match="no such bundle folder"):
            tracker.log_bridge(tmp_path / "none", EXAMPLE, name="a", survey="miles")
        with pytest.raises(ModelError, match="model name 'a/b'"):
            tracker.log_bridge(bundle, EXAMPLE, name="a/b", survey="miles")


@pytest.mark.slow
def test_stores_opened_at_once_are_whole(tmp_path):
    script = (
        "import sys, warnings\n"
        "from synth2obs.training.tracking.tracker import Tracker\n"
        "Tracker.open(sys.argv[1], grid='g', surveys=('s',), store=sys.argv[2]).close()\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def start(name):
        command = [sys.executable, "-c", script, str(tmp_path / name), str(tmp_path / "store")]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        results[name] = (done.returncode, done.stdout + done.stderr)

    results: dict[str, tuple[int, str]] = {}
    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {"a": (0, ""), "b": (0, "")}
    assert len(list((tmp_path / "store").glob("mlflow.db"))) == 1
