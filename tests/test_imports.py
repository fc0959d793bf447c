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


MORPH = """
import synth2obs
bridge = synth2obs.load_bridge({bundle!r})
synth2obs.morph(bridge, survey="miles", labels={{"teff": [5000, 6000]}})
"""
MEASURE = """
import synth2obs
bridge = synth2obs.load_bridge({bundle!r})
synth2obs.{function}(bridge, {shard!r}, "miles")
"""

NOT_FOR_USERS = ("synth2obs.reports", "synth2obs.training", "synth2obs.io.download", "synth2obs.io.surveys")
"""Parts that no measurement needs."""

PLOTS = ("matplotlib", "mlflow", "plotly", "jinja2")

FLOW = "import nflows.flows"
"""What the morph is made of; it loads matplotlib itself."""


def modules(statement: str) -> set[str]:
    """Everything that a fresh interpreter has after a statement."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has after a statement."""
    return modules(statement) & set(HEAVY)


def of(names: set[str], parents: tuple[str, ...]) -> set[str]:
    """The modules that are, or lie in, one of some packages."""
    return {
        name
        for name in names
        if name.startswith(tuple(f"{parent}." for parent in parents)) or name in parents
    }


@pytest.fixture(scope="module")
def bundle(trained):
    return str(trained.folder / "bridge")


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    """Nine stars of MILES."""
    from synth2obs.io.embedded import embedded_path
    from synth2obs.io.shard.read import read_shard
    from synth2obs.io.shard.write import write_shard

    spectra = read_shard(embedded_path("miles"), slice(0, 9))
    return str(write_shard(spectra, tmp_path_factory.mktemp("shard") / "nine.h5"))


@pytest.fixture(scope="module")
def of_the_flow():
    """Plotting packages that nflows brings."""
    return of(modules(FLOW), PLOTS)


@pytest.mark.parametrize("statement", [ROOT, HELP], ids=["import", "help"])
def test_nothing_heavy_loads(statement):
    assert not loaded(statement)


def test_tracking_loads_mlflow_only_when_used():
    assert "mlflow" not in loaded(TRACKING)


def test_the_check_sees_a_heavy_import():
    assert "h5py" in loaded("import h5py")


def test_whoever_morphs_labels_loads_no_more_than_the_bridge(bundle, of_the_flow):
    found = modules(MORPH.format(bundle=bundle))
    assert not of(found, NOT_FOR_USERS) and not of(found, PLOTS) - of_the_flow
    assert not of(found, ("h5py", "astropy", "pandas", "requests"))
    assert len(of(found, ("synth2obs",))) <= 58


@pytest.mark.parametrize("function", ["encode", "fit_labels", "measure_gap"])
def test_whoever_measures_a_shard_loads_no_plots_and_no_training(function, bundle, shard, of_the_flow):
    found = modules(MEASURE.format(bundle=bundle, shard=shard, function=function))
    assert not of(found, NOT_FOR_USERS) and not of(found, PLOTS) - of_the_flow
    assert len(of(found, ("synth2obs",))) <= 90
