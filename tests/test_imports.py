"""What loads when nothing has been asked for yet."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
    "astroquery",
)

ROOT = "import synth2obs"
TRACKING = "import synth2obs.training.tracking.tracking"
HELP = """
from typer.testing import CliRunner
from synth2obs.cli import app
done = CliRunner().invoke(app, ["--help"])
assert done.exit_code == 0 and "train" in done.output, done.output
"""


WITHOUT_EXTRA = """
import sys
sys.modules.update(dict.fromkeys(("astroquery", "requests", "urllib3")))
"""
IMPORT = """
try:
    import synth2obs.io.download.run
except ImportError as error:
    print(error)
"""
COMMAND = """
from typer.testing import CliRunner
from synth2obs.cli import app
done = CliRunner().invoke(app, ["download", "galah", "--ids", "131123003001096", "-o", "out"])
assert done.exit_code == 2 and not done.stdout, done.output
print(done.stderr)
"""


def loaded(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(set(sys.modules) & set({HEAVY!r}))))"
    return set(json.loads(said(script)[-1]))


def said(script: str, **where: Path) -> list[str]:
    """What a script prints in a fresh interpreter, by lines."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **where)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


@pytest.mark.parametrize("statement", [ROOT, HELP], ids=["import", "help"])
def test_nothing_heavy_loads(statement):
    assert not loaded(statement)


def test_the_tracking_module_loads_mlflow_only_when_used():
    assert "mlflow" not in loaded(TRACKING)


@pytest.mark.parametrize("script", [IMPORT, COMMAND], ids=["import", "command"])
def test_downloads_say_in_a_line_what_to_install(script, tmp_path):
    (line,) = said(WITHOUT_EXTRA + script, cwd=tmp_path)
    assert "astroquery, requests, urllib3" in line and "pip install 'synth2obs[download]'" in line


def test_the_check_sees_a_heavy_import():
    assert "h5py" in loaded("import h5py")
