"""What loads when nothing has been asked for yet."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "mlflow",
    "astropy",
    "specutils",
    "h5py",
    "matplotlib",
    "plotly",
    "pandas",
    "nflows",
    "requests",
)

ROOT = "import synth2obs"
TRACKING = "from synth2obs.training.tracking import fetch, tracker, ui"
HELP = """
from typer.testing import CliRunner
from synth2obs.cli import app
done = CliRunner().invoke(app, ["--help"])
assert done.exit_code == 0 and "train" in done.output, done.output
"""


def loaded(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", [ROOT, HELP], ids=["import", "help"])
def test_nothing_heavy_loads(statement):
    assert not loaded(statement)


def test_tracking_loads_mlflow_only_when_used():
    assert "mlflow" not in loaded(TRACKING)


def test_the_check_sees_a_heavy_import():
    assert "h5py" in loaded("import h5py")
