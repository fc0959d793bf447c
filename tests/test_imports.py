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
TRACKING = "from synth2obs.training.tracking import fetch, tracker, ui"
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
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
try:
    {statement}
except ImportError as error:
    print(error)
"""
TRAIN = ("mlflow", "sklearn")
REPORT = ("jinja2", "plotly")
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


def modules(statement: str) -> set[str]:
    """Everything that a fresh interpreter has after a statement."""
    return set(json.loads(said(f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))")[-1]))


def said(script: str, **where: Path) -> list[str]:
    """What a script prints in a fresh interpreter, by lines."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **where)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


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


@pytest.mark.parametrize("statement", [ROOT, HELP], ids=["import", "help"])
def test_nothing_heavy_loads(statement):
    assert not loaded(statement)


def test_tracking_loads_mlflow_only_when_used():
    assert "mlflow" not in loaded(TRACKING)


@pytest.mark.parametrize("script", [IMPORT, COMMAND], ids=["import", "command"])
def test_downloads_say_in_a_line_what_to_install(script, tmp_path):
    (line,) = said(WITHOUT_EXTRA + script, cwd=tmp_path)
    assert "astroquery, requests, urllib3" in line and "pip install 'synth2obs[download]'" in line


@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        (TRAIN, "import synth2obs.training.run", "train"),
        (TRAIN, "import synth2obs.prove.run", "train"),
        (TRAIN, "import synth2obs; synth2obs.load_bridge('models:/optical/1')", "train"),
        (REPORT, "import synth2obs.reports.survey", "report"),
    ],
)
def test_what_is_an_extra_says_in_a_line_what_to_install(missing, statement, extra, tmp_path):
    (line,) = said(WITHOUT.format(missing=missing, statement=statement), cwd=tmp_path)
    assert f"pip install 'synth2obs[{extra}]'" in line and any(name in line for name in missing)


def test_who_morphs_and_fits_needs_no_extra(bundle, shard):
    for function in ("fit_labels", "measure_gap"):
        script = MEASURE.format(bundle=bundle, shard=shard, function=function)
        said(WITHOUT.format(missing=(*TRAIN, *REPORT), statement="pass") + script)


def test_the_check_sees_a_heavy_import():
    assert "h5py" in loaded("import h5py")


def test_whoever_morphs_labels_loads_no_more_than_the_bridge(bundle):
    found = modules(MORPH.format(bundle=bundle))
    assert not of(found, NOT_FOR_USERS) and not of(found, PLOTS)
    assert not of(found, ("h5py", "astropy", "pandas", "requests"))
    assert len(of(found, ("synth2obs",))) <= 96


@pytest.mark.parametrize("function", ["encode", "fit_labels", "measure_gap"])
def test_whoever_measures_a_shard_loads_no_plots_and_no_training(function, bundle, shard):
    found = modules(MEASURE.format(bundle=bundle, shard=shard, function=function))
    assert not of(found, NOT_FOR_USERS) and not of(found, PLOTS)
    assert len(of(found, ("synth2obs",))) <= 153


def test_matplotlib_can_be_loaded_after_a_morph():
    both = "import synth2obs.models.alignment\nimport matplotlib.pyplot\nmatplotlib.pyplot.figure"
    assert "matplotlib" in loaded(both)
