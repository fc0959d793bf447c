"""The command line where no model is needed: help, errors, exit codes."""

import os
import re
import runpy
import signal
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import synth2obs
from synth2obs import cli
from synth2obs.core.errors import Interrupted
from synth2obs.io.embedded import embedded_path
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

COMMANDS = (
    "quickstart",
    "train",
    "download",
    "ingest",
    "check",
    "plot",
    "morph",
    "fit",
    "gap",
    "report",
    "ui",
    "version",
)


def run(*arguments):
    """Call the command line; whatever it does, it must not end in a traceback."""
    done = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def refused(*arguments, words):
    """The command is refused with exit code 2 and one error, its last message, that has these words."""
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert done.stderr.count("error: ") == 1 and "Traceback" not in done.stderr
    assert not done.stdout
    assert all(word in done.stderr for word in words), done.stderr
    return done


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Six real spectra."""
    stars = read_shard(embedded_path("stelib"), slice(0, 6))
    return write_shard(stars, tmp_path_factory.mktemp("shards") / "six.h5")


@pytest.fixture
def truncated(shard, tmp_path):
    path = tmp_path / "truncated.h5"
    path.write_bytes(shard.read_bytes()[:-2000])
    return path


@pytest.fixture
def no_training(monkeypatch):
    """A training that must not begin."""
    import synth2obs.workflow

    def never(*arguments, **options):
        raise AssertionError("the training began")

    monkeypatch.setattr(synth2obs.workflow, "run", never)


def test_help_names_every_command():
    output = run("--help").output
    assert all(command in output for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "version"])
def test_every_command_has_an_example(command):
    done = run(command, "--help")
    assert done.exit_code == 0 and f"synth2obs {command}" in re.sub(r"\s+", " ", done.output)


def test_version_is_the_packages():
    assert run("version").output.strip() == synth2obs.__version__


def test_the_module_runs_as_a_script(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["synth2obs", "version"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_module("synth2obs.cli", run_name="__main__")
    assert stopped.value.code == 0 and synth2obs.__version__ in capsys.readouterr().out


def test_check_tells_good_from_bad(shard, truncated, tmp_path):
    assert run("check", shard, "embedded:stelib").exit_code == 0
    done = run("check", shard, truncated, tmp_path / "none.h5")
    assert done.exit_code == 2
    assert f"{shard}: ok" in done.output and "truncated" in done.output and "no such file" in done.output


def test_an_unknown_survey_is_refused_with_the_known_ones(tmp_path):
    refused("ingest", "sdss", "a.fits", "-o", tmp_path / "a.h5", words=["'sdss'", "miles", "stelib"])
    assert not list(tmp_path.iterdir())


def test_a_native_file_that_is_no_fits_is_refused(tmp_path):
    path = tmp_path / "star.fits"
    path.write_bytes(b"no fits at all")
    refused("ingest", "stelib", path, "-o", tmp_path / "a.h5", words=["star.fits"])
    assert [file.name for file in tmp_path.iterdir()] == ["star.fits"]


@pytest.mark.parametrize("command", [["quickstart"], ["train", "mine.toml"]])
@pytest.mark.parametrize(
    "override, words",
    [
        ("gap.iteration=3", ["unknown 'iteration'", "did you mean 'iterations'"]),
        ("gapp.iterations=3", ["unknown 'gapp'", "did you mean 'gap'"]),
        ("gap.iterations=0", ["gap.iterations", "got 0"]),
        ("gap.iterations", ["'gap.iterations'", "key=value"]),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_begins(
    command, override, words, tmp_path, monkeypatch, no_training
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text("seed = 1\n")
    refused(*command, override, "--out", tmp_path / "out", words=words)


def test_a_missing_configuration_is_refused(tmp_path, no_training):
    refused("train", tmp_path / "no.toml", "--out", tmp_path / "out", words=["no.toml", "cannot be read"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["quickstart", "--out", "{file}/out"],
        ["train", "{file}", "--out", "{file}/out"],
        ["ingest", "stelib", "a.fits", "-o", "{file}/a.h5"],
        ["morph", "no-model", "-s", "miles", "-l", "teff=5777", "-o", "{file}/a.csv"],
        ["fit", "no-model", "no-shard", "-s", "miles", "-o", "{file}/a.csv"],
        ["gap", "no-model", "no-shard", "-s", "miles", "-o", "{file}/a.csv"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_output_that_cannot_be_written_is_refused_before_any_work(arguments, tmp_path, no_training):
    file = tmp_path / "file"
    file.write_text("")
    refused(*(text.format(file=file) for text in arguments), words=["cannot write in", str(file)])


@pytest.mark.parametrize("command", ["fit", "gap"])
def test_an_output_of_unknown_kind_is_refused_before_any_work(command, tmp_path):
    out = tmp_path / "labels.xlsx"
    refused(command, "no-model", "no-shard", "-s", "miles", "-o", out, words=["labels.xlsx", ".ecsv"])


def test_a_folder_in_the_place_of_the_output_is_refused(tmp_path):
    out = tmp_path / "a.csv"
    out.mkdir()
    refused("fit", "no-model", "no-shard", "-s", "miles", "-o", out, words=["a.csv", "folder of that name"])


@pytest.mark.parametrize("folder", ["", "empty"])
def test_a_model_that_is_not_there_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "a.csv"
    refused("morph", tmp_path / folder, "-s", "miles", "-l", "teff=5777", "-o", out, words=["no such file"])
    assert not out.exists()


def test_a_registered_model_needs_a_store(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    model = "models:/optical@champion"
    refused("fit", model, "a.h5", "-s", "miles", "-o", tmp_path / "a.csv", words=[model, "no store"])


def test_reports_of_a_folder_without_numbers_are_refused(tmp_path):
    refused("report", tmp_path, words=["metrics.json", "train or evaluate first"])


def test_a_store_that_is_not_there_is_refused(tmp_path):
    refused("ui", tmp_path, words=["no mlflow.db", "train first"])


def test_a_port_that_is_taken_is_refused(tmp_path):
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused("ui", tmp_path, "--port", port, words=[f"port {port}", "--port"])


@pytest.fixture
def served(monkeypatch):
    """A function that puts a small program in the place of MLflow's server."""
    import synth2obs.training.tracking.ui

    def serve(program):
        command = [sys.executable, "-c", program], dict(os.environ)
        monkeypatch.setattr(synth2obs.training.tracking.ui, "ui_command", lambda store, port: command)

    return serve


def test_ui_says_where_to_look_and_ends_as_the_server_does(tmp_path, served):
    served("raise SystemExit(3)")
    done = run("ui", tmp_path, "--port", 59123)
    assert done.exit_code == 3 and "http://127.0.0.1:59123/" in done.output


def test_ctrl_c_ends_the_server_too(tmp_path, served, monkeypatch):
    served("import time; time.sleep(60)")
    started = []

    class Interrupted(subprocess.Popen):
        def wait(self, timeout=None):
            if self not in started:
                started.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    assert run("ui", tmp_path, "--port", 59123).exit_code == 0
    assert started[0].poll() == -signal.SIGTERM


@pytest.mark.parametrize(
    "raised, words",
    [(Interrupted("stopped in theory after step 3"), "after step 3"), (KeyboardInterrupt(), "interrupted")],
    ids=["between steps", "anywhere"],
)
def test_ctrl_c_ends_with_130_and_no_traceback(raised, words, tmp_path, monkeypatch):
    import synth2obs.workflow

    def stop(*arguments, **options):
        raise raised

    monkeypatch.setattr(synth2obs.workflow, "run", stop)
    done = run("quickstart", "--out", tmp_path)
    assert done.exit_code == 130 and words in done.stderr


def test_what_nobody_foresaw_keeps_its_traceback(tmp_path, monkeypatch):
    import synth2obs.workflow

    def fail(*arguments, **options):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(synth2obs.workflow, "run", fail)
    done = CliRunner().invoke(cli.app, ["quickstart", "--out", str(tmp_path)])
    assert isinstance(done.exception, RuntimeError) and done.exit_code == 1


def test_the_probe_of_an_output_leaves_nothing(tmp_path, no_training):
    refused("quickstart", "gapp=1", "--out", tmp_path / "new", words=["'gapp'"])
    assert not list((tmp_path / "new").iterdir())
