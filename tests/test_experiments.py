"""The experiments run, print their tables, and say what the documents say, as far as seconds can tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
NARROW = ("--start", "5150", "--stop", "5250")


def printed(script, *options):
    """Rows of the Markdown table that a script prints: first cell → the others as numbers."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXPERIMENTS / script), *NARROW, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| \n").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    return {name: [float(cell) for cell in cells] for name, *cells in rows[2:]}


def test_closed_form_beats_principal_components(tmp_path):
    options = (
        "--only",
        "principal",
        "--only",
        "closed form",
        "--rank",
        "96",
        "--out",
        str(tmp_path / "out.json"),
    )
    table = printed("02_decoders/run.py", *options)
    components, closed = table["principal components"], table["latent variable model, closed form"]
    assert all(ours < theirs for ours, theirs in zip(closed[2:], components[2:], strict=True))
    stored = json.loads((tmp_path / "out.json").read_text())
    assert stored["table"]["principal components"]["complete"] == pytest.approx(components[2], abs=1e-3)


@pytest.mark.slow
def test_every_decoder_and_encoding_runs():
    table = printed("02_decoders/run.py", "--budget", "0.5", "--rank", "64")
    assert len(table) == 9
    best = table.pop("latent variable model (the library's)")
    assert all(best[2] < row[2] for row in table.values())


@pytest.mark.slow
def test_small_latents_stay_at_principal_components():
    table = printed("01_encoding/run.py", "--budget", "12")
    assert table["SVD"][-1] < 0.98
    assert table["SVD, latents 25 times smaller"][-1] == pytest.approx(1.0, abs=0.01)
    assert table["SVD, latents 25 times smaller"][4] < 0.02 * table["SVD"][4]


def test_pulls_of_right_errors_are_normal(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "05_label_fits"))
    from scores import score

    random = np.random.default_rng(0)
    error = 10 ** random.uniform(-2, 0, 4000)
    right = score(error * random.normal(size=4000), error)
    assert right.pull == pytest.approx(1.0, abs=0.04)
    assert right.inside == pytest.approx(0.683, abs=0.02)
    assert right.distance < 1.36 / 4000**0.5
    halved = score(error * random.normal(size=4000), 0.5 * error)
    assert halved.pull == pytest.approx(2.0, abs=0.08)
    assert halved.p_value < 1e-6


def test_folds_are_equal_and_a_star_is_in_one(monkeypatch):
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "09_lamost_dr1"))
    from folds import turn

    stars = np.array([f"star {number // 2}" for number in range(90)])
    fold = turn(stars, seed=20, folds=5)
    assert np.bincount(fold).tolist() == [18] * 5
    assert (fold[::2] == fold[1::2]).all()
    assert (turn(stars[::-1], seed=20, folds=5) == fold[::-1]).all()
