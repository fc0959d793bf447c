"""Stores in folders whose names hold characters that addresses give a meaning to."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from mlflow.tracking._tracking_service import utils
from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.core.errors import OutputError
from synth2obs.training.tracking.fetch import fetch_bundle
from synth2obs.training.tracking.store import database_address, store_address
from synth2obs.training.tracking.tracker import Tracker
from synth2obs.training.tracking.ui import ui_command

NAMES = ("run?1 50%41x", "a%3Fb#c", "ü 'q\" &", "x&y=z;[1]+~@:", "100%?mode=ro&uri=true")


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """An empty store, because to create one takes seconds."""
    Tracker.open(tmp_path_factory.mktemp("plain"), grid="g", surveys=("s",)).close()
    return tmp_path_factory.getbasetemp() / "plain0" / "mlflow" / "mlflow.db"


def trained_in(out):
    """A training's folder with a registered model and an artifact."""
    (out / "bridge").mkdir(parents=True)
    (out / "bridge" / "bridge.safetensors").write_bytes(b"weights")
    (out / "metrics.json").write_text("{}")
    tracker = Tracker.open(out, grid="marcs", surveys=("miles",), config_text="seed = 1")
    tracker.artifact(out / "metrics.json")
    tracker.log_bridge(out / "bridge", {"teff": 5777.0}, name="optical", survey="miles")
    tracker.close()
    return tracker


@pytest.mark.parametrize("name", NAMES)
def test_everything_stays_in_the_folder_and_is_found(name, database, tmp_path):
    out = tmp_path / name
    (out / "mlflow").mkdir(parents=True)
    shutil.copy(database, out / "mlflow")
    tracker = trained_in(out)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert {path.name for path in out.iterdir()} == {"bridge", "metrics.json", "mlflow", "run.json"}
    found = fetch_bundle("models:/optical@champion", out / "mlflow")
    assert (found / "bridge.safetensors").read_bytes() == b"weights"
    assert [one.path for one in tracker.client.list_artifacts(tracker.run, "reports")] == [
        "reports/metrics.json"
    ]
    moved = tmp_path / f"moved {name}"
    out.rename(moved)
    utils._artifact_repos_cache.clear()
    assert fetch_bundle("models:/optical@champion", moved / "mlflow").is_dir()
    assert [path.name for path in tmp_path.iterdir()] == [moved.name]


def test_what_no_address_can_hold_is_refused_by_its_character(monkeypatch, tmp_path):
    from sqlalchemy import engine

    monkeypatch.setattr(engine, "make_url", lambda address: engine.URL.create("sqlite", database="other"))
    with pytest.raises(OutputError, match=r"cannot have \? in its path; choose another folder"):
        database_address(tmp_path / "run?1" / "mlflow.db")


def test_a_plain_folder_has_the_address_that_people_write(tmp_path):
    assert store_address(tmp_path / "b#c d") == f"sqlite:///{tmp_path / 'b#c d' / 'mlflow.db'}"


def answer_of(address, server, limit=120.0):
    """What a server says once it listens."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return json.load(urllib.request.urlopen(address, timeout=5))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    raise AssertionError(f"no answer from {address}; the server ended with {server.poll()}")


@pytest.mark.slow
def test_a_whole_training_its_list_its_model_and_its_pages(small, database, tmp_path):
    out = tmp_path / "run?1 50%41"
    (out / "mlflow").mkdir(parents=True)
    shutil.copy(database, out / "mlflow")
    done = CliRunner().invoke(app, ["quickstart", "-o", str(out), *small])
    assert done.exit_code in (0, 3), done.output
    listed = CliRunner().invoke(app, ["runs", str(tmp_path), "--json"])
    assert listed.exit_code == 0 and "run?1 50%41" in listed.output
    sun = ["morph", "models:/optical/1", "--store", str(out / "mlflow"), "-s", "miles", "-l", "teff=5777"]
    morphed = CliRunner().invoke(app, [*sun, "-o", str(tmp_path / "sun.ecsv")])
    assert morphed.exit_code == 0, morphed.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run?1 50%41", "sun.ecsv"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = json.loads((out / "run.json").read_text())["run"]
    command, environment = ui_command(out / "mlflow", port)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=environment, start_new_session=True, cwd=tmp_path, **quiet)
    try:
        told = answer_of(f"http://127.0.0.1:{port}/api/2.0/mlflow/runs/get?run_id={run}", server)
        assert told["run"]["info"]["status"] == "FINISHED"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
