"""A kill, a full disk or a bug while a store's tables are made never leaves a store that cannot be opened."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from synth2obs.core.errors import OutputError
from synth2obs.training.tracking import made
from synth2obs.training.tracking.store import open_experiment, open_store

OPEN = """
import sys
from synth2obs.training.tracking.store import open_store
print("open", flush=True)
open_store(sys.argv[1])
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The database of a store with nothing in it."""
    folder = tmp_path_factory.mktemp("whole")
    open_store(folder)
    return (folder / "mlflow.db").read_bytes()


def usable(folder):
    client = open_store(folder)
    return open_experiment(client, "anything", folder)


def start(folder):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None and process.stdout.readline()
    return process


def killed_after(folder, seconds):
    process = start(folder)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_kill_in_the_middle_leaves_nothing_under_the_stores_name(tmp_path):
    killed_after(tmp_path, 2.5)
    assert usable(tmp_path)


@pytest.mark.slow
def test_25_kills_aimed_at_the_making_of_tables(tmp_path):
    began = time.monotonic()
    process = start(tmp_path / "timed")
    process.communicate()
    took = time.monotonic() - began
    chosen = random.Random(3)
    for number in range(25):
        folder = tmp_path / str(number)
        killed_after(folder, chosen.uniform(0.3 * took, took))
        assert usable(folder), number


def test_a_store_that_an_older_kill_left_is_made_again_and_set_aside(tmp_path, whole):
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "mlflow.db").write_bytes(whole)
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("DROP TABLE alembic_version")
        store.execute("DROP TABLE metrics")
    store.close()
    assert usable(tmp_path)
    assert (tmp_path / "mlflow.db.unfinished-1").exists()


def test_a_whole_store_stays_as_it_is(tmp_path, whole):
    (tmp_path / "mlflow.db").write_bytes(whole)
    open_store(tmp_path)
    assert not list(tmp_path.glob("*.unfinished-*"))


def test_a_disk_that_fills_leaves_no_store(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made.os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        open_store(tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "mlflow.db").exists() and usable(tmp_path)
    assert not list(tmp_path.glob(".mlflow.db.*"))


def test_a_file_that_is_no_database_is_not_touched(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"someone's notes" * 100)
    with pytest.raises(OutputError):
        open_store(tmp_path)
    assert (tmp_path / "mlflow.db").read_bytes() == b"someone's notes" * 100
