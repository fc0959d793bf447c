"""A run's folder that is moved, renamed or copied keeps its artifacts, its models and its way on."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow.tracking._tracking_service import utils

from synth2obs.core.errors import OutputError
from synth2obs.training.tracking.fetch import fetch_bundle
from synth2obs.training.tracking.moved import follow
from synth2obs.training.tracking.store import open_store
from synth2obs.training.tracking.tracker import Tracker

EXAMPLE = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A training's folder with an artifact and a registered model; tests move copies of it."""
    out = tmp_path_factory.mktemp("old place") / "runs" / "mine"
    out.mkdir(parents=True)
    bundle = out / "bridge"
    bundle.mkdir()
    (bundle / "bridge.safetensors").write_bytes(b"weights")
    tracker = Tracker.open(out, grid="marcs", surveys=("miles",))
    (out / "metrics.json").write_text("{}")
    tracker.artifact(out / "metrics.json")
    tracker.log_bridge(bundle, EXAMPLE, name="optical", survey="miles", tags={"verdict": "PASS"})
    tracker.close()
    return out


@pytest.fixture
def moved(made, tmp_path):
    """A copy elsewhere, while the old place is hidden."""
    target = tmp_path / "new place" / "mine"
    shutil.copytree(made, target)
    hidden = made.with_name("hidden")
    made.rename(hidden)
    # A run is moved between processes; within one, MLflow remembers where the artifacts of a run are.
    utils._artifact_repos_cache.clear()
    yield target
    utils._artifact_repos_cache.clear()
    assert not made.exists(), "nothing may be written to where the run was"
    hidden.rename(made)


def test_the_registered_model_is_found(moved):
    found = fetch_bundle("models:/optical@champion", moved / "mlflow")
    assert (found / "bridge.safetensors").read_bytes() == b"weights"


def test_artifacts_are_found_and_new_ones_stay_with_the_store(moved, made):
    tracker = Tracker.open(moved, grid="marcs", surveys=("miles",))
    (listed,) = tracker.client.list_artifacts(tracker.run, "reports")
    assert listed.path == "reports/metrics.json"
    local = tracker.client.download_artifacts(tracker.run, listed.path)
    assert Path(local).read_text() == "{}"
    (moved / "more.json").write_text("[]")
    tracker.artifact(moved / "more.json")
    assert list((moved / "mlflow" / "artifacts").rglob("more.json"))
    tracker.close()


def test_nothing_changes_in_a_store_that_stayed(made):
    before = (made / "mlflow" / "mlflow.db").read_bytes()
    follow(made / "mlflow")
    assert (made / "mlflow" / "mlflow.db").read_bytes() == before


def test_a_store_that_cannot_be_changed_says_so(moved):
    database = moved / "mlflow" / "mlflow.db"
    held = sqlite3.connect(database)
    held.execute("PRAGMA locking_mode = EXCLUSIVE")
    held.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(OutputError, match="was moved"):
            follow_soon(moved / "mlflow")
    finally:
        held.close()
    follow(moved / "mlflow")
    open_store(moved / "mlflow")


def follow_soon(folder):
    """`follow` without its patience."""
    from synth2obs.training.tracking import moved

    patience, moved.PATIENCE = moved.PATIENCE, 0.2
    try:
        follow(folder)
    finally:
        moved.PATIENCE = patience


def test_a_folder_without_a_store_is_left_alone(tmp_path):
    follow(tmp_path)
    (tmp_path / "mlflow.db").write_text("no database at all, but long enough to be read as one" * 20)
    follow(tmp_path)


def test_the_logged_model_knows_its_version(made):
    client = open_store(made / "mlflow")
    version = client.get_model_version_by_alias("optical", "champion")
    experiment = client.get_experiment_by_name("marcs × miles")
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert '"name": "optical"' in model.tags["mlflow.modelVersions"]
    assert version.tags["verdict"] == "PASS"
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
