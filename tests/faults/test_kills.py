"""SIGKILL at random moments and disks that fill: the same command goes on, to the same weights bit for bit."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("interrupted_trainings.py")
KILLS, FULL = 20, 4
TINY = (
    *("data.stop=5150", "data.max_stars=16", "checkpoint_every=1"),
    *("theory.steps=3", "emulator.steps=5", "emulator.learned_from=60", "morph.steps=3", "critic.steps=2"),
)


def moments(kind, count, new_folder, environment, small, tmp_path):
    """What came of every moment."""
    store = new_folder("empty") / "mlflow" / "mlflow.db"
    words = [str(tmp_path), str(store), kind, str(count), "7", *small, *TINY]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(SCRIPT), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == count
    return found, done.stderr


def assert_whole(found):
    for moment in found:
        assert moment["resumed"] == 0 and moment["same"], moment
        assert moment["status"] == ["FINISHED"] and moment["left"] == [], moment


@pytest.mark.slow
def test_what_is_killed_goes_on_to_the_same_weights(new_folder, environment, small, tmp_path):
    found, _ = moments("killed", KILLS, new_folder, environment, small, tmp_path)
    assert sum(moment["code"] == -9 for moment in found) >= KILLS // 2, found
    assert_whole(found)


@pytest.mark.slow
def test_what_a_full_disk_stops_goes_on_when_there_is_space(new_folder, environment, small, tmp_path):
    found, errors = moments("full", FULL, new_folder, environment, small, tmp_path)
    assert [moment["code"] for moment in found] == [2] * FULL, errors[-3000:]
    assert errors.count("refused: ") == FULL and "allows no larger file" in errors
    assert_whole(found)
