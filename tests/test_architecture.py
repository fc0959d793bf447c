"""The floors of the package and the places of its heavy libraries, read from the imports themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "synth2obs"
FLOORS = {
    "core": 0,
    "data": 0,
    "io": 1,
    "physics": 1,
    "models": 2,
    "synthesis": 2,
    "training": 3,
    "analysis": 4,
    "reports": 5,
    "prove": 6,
    "measured": 6,
    "concluded": 6,
    "workflow": 7,
    "api": 8,
    "served": 9,
    "cli": 9,
}
FORBIDDEN = {("analysis", "training")}
ROOMS = {
    "models": (
        {"noise"},
        {"contracts", "checkpoint", "decoder", "distortion", "forked", "label_map", "layout", "projection"},
        {"alignment", "emulator", "gap"},
        {"priors", "survey", "theory_error"},
        {"native"},
        {"bridge"},
        {"bundle", "fit"},
    ),
    "io": (
        {"text_table"},
        {"air", "noise", "quiet", "reduce", "shard", "specutils_in", "tables"},
        {"anchors", "blocks", "grids", "instruments", "interop", "named_rows", "surveys", "trainable"},
        {"embedded", "ingest", "recipes"},
        {"download", "own_grids", "strong_lines"},
    ),
    "synthesis": (
        {
            "atmospheres",
            "composition",
            "engine",
            "hydrogen",
            "ionisation",
            "pysme_worker",
            "sampling",
            "settings",
        },
        {"line_lists", "programs", "recipe"},
        {"isotopes", "overlay", "work"},
        {"turbospectrum_lines"},
        {"installed"},
        {"pysme", "turbospectrum"},
        {"engines", "install", "overlaid", "pixels"},
        {"earlier"},
        {"build"},
        {"assemble"},
    ),
}
"""Folders and files inside a package, lowest first; a room imports only from rooms below its own."""

HOMES = {
    "h5py": ("io/",),
    "hdf5plugin": ("io/",),
    "astropy": ("io/",),
    "pyarrow": ("io/surveys/star_tables/parquet.py",),
    "astroquery": ("io/download/",),
    "pyvo": ("io/download/",),
    "requests": ("io/download/",),
    "urllib3": ("io/download/",),
    "nflows": ("models/alignment/flow.py",),
    "mlflow": ("training/tracking/", "served.py"),
    "pysme": ("synthesis/pysme_worker.py",),
    "sklearn": ("analysis/proof/",),
}
LIGHT = {"synthesis": {"torch", "matplotlib", "plotly", "jinja2"}}
"""Packages that do without some libraries: what computes spectra runs where nothing is trained or drawn."""

FILES = sorted((ROOT / PACKAGE).rglob("*.py"))


def imported(text: str, path: str) -> Iterator[str]:
    """Every module that a file may import, absolute, wherever in the file the import stands.

    `from a import b` counts as `a` and as `a.b`, since b may be a module.
    """
    parts = [PACKAGE, *Path(path).with_suffix("").parts]
    package = parts[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value


def part_of(module: str) -> str | None:
    """The part of the package that a module belongs to, or None if it is not ours or is the root."""
    parts = module.split(".")
    return parts[1] if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in FLOORS else None


def violations(text: str, path: str) -> set[str]:
    """What a file, given by its path inside the package, imports but may not."""
    here = Path(path).with_suffix("").parts[0]
    found = {f"{path}: {wrong}" for wrong in wrong_rooms(text, path)}
    for module in imported(text, path):
        there = part_of(module)
        if here in FLOORS and there and there != here and not allowed(here, there):
            found.add(f"{path}: {here} may not import {there}")
        if here in FLOORS and here != "cli" and module == PACKAGE:
            found.add(f"{path}: import the part, not the whole package")
        library = module.split(".")[0]
        if library in HOMES and not path.startswith(HOMES[library]):
            found.add(f"{path}: {library} belongs in {' and '.join(HOMES[library])}")
        if library in LIGHT.get(here, ()):
            found.add(f"{path}: {here} does without {library}")
    return found


def wrong_rooms(text: str, path: str) -> Iterator[str]:
    """Imports of a room on the same level or above, inside one package."""
    package, _, inner = path.removesuffix(".py").partition("/")
    levels = {room: level for level, rooms in enumerate(ROOMS.get(package, ())) for room in rooms}
    here = inner.split("/")[0]
    for module in imported(text, path):
        parts = module.split(".")
        there = parts[2] if parts[:2] == [PACKAGE, package] and len(parts) > 2 else here
        if there in levels and there != here and levels[there] >= levels.get(here, len(levels)):
            yield f"{package}/{here} may not import {package}/{there}"


def allowed(here: str, there: str) -> bool:
    return FLOORS[there] < FLOORS[here] and (here, there) not in FORBIDDEN


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_go_down(file):
    path = file.relative_to(ROOT / PACKAGE).as_posix()
    assert not violations(file.read_text(encoding="utf-8"), path)


@pytest.mark.parametrize("package", ROOMS)
def test_every_room_has_a_level(package):
    here = {
        path.stem for path in (ROOT / PACKAGE / package).iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert here - {"__init__", "__pycache__"} == set.union(*ROOMS[package])


def test_every_part_has_a_floor():
    parts = {path.stem for path in (ROOT / PACKAGE).iterdir() if path.suffix == ".py" or path.is_dir()}
    assert parts - {"__init__", "__pycache__", "__main__"} <= FLOORS.keys()
    assert len(FILES) > 10


@pytest.mark.parametrize(
    "path, text",
    [
        ("core/a.py", "import synth2obs.io.shard.write"),
        ("core/a.py", "from synth2obs import models"),
        ("core/a.py", "from ..physics import lsf"),
        ("core/a.py", "from .. import physics"),
        ("io/surveys/a.py", "from ...models.flow import Flow"),
        ("io/a.py", "from synth2obs.physics.lsf import blur"),
        ("physics/a.py", "import synth2obs.io as io"),
        ("models/a.py", "def f():\n    from synth2obs.training import loop"),
        ("models/a.py", "if TYPE_CHECKING:\n    import synth2obs.training.loop"),
        ("models/a.py", "import importlib\nimportlib.import_module('synth2obs.training.loop')"),
        ("analysis/a.py", "from synth2obs.training.loop import run_stages"),
        ("analysis/a.py", "from synth2obs.reports import survey"),
        ("reports/a.py", "import numpy, synth2obs.cli"),
        ("models/a.py", "import synth2obs"),
        ("models/a.py", "from synth2obs import load_bridge"),
        ("models/a.py", "import h5py"),
        ("models/decoder/a.py", "from synth2obs.models.emulator.kernel import KernelEmulator"),
        ("models/gap/a.py", "from synth2obs.models.alignment import ALIGNMENTS"),
        ("models/survey.py", "from synth2obs.models.fit.task import encode"),
        ("io/shard/a.py", "from synth2obs.io.surveys import READERS"),
        ("analysis/a.py", "from astropy.table import Table"),
        ("reports/a.py", "from astropy.table import Table"),
        ("models/flows.py", "import nflows.transforms"),
        ("training/loop.py", "def f():\n    import mlflow"),
        ("__init__.py", "from mlflow import MlflowClient"),
        ("synthesis/build.py", "from synth2obs.models.emulator import EMULATORS"),
        ("synthesis/recipe.py", "from synth2obs.synthesis.build import Build"),
        ("synthesis/pysme.py", "from pysme.sme_synth import SME_DLL"),
        ("synthesis/work.py", "import torch"),
    ],
)
def test_the_checker_sees_what_is_forbidden(path, text):
    assert violations(text, path)


@pytest.mark.parametrize(
    "path, text",
    [
        ("core/a.py", "import numpy\nfrom synth2obs.core.errors import DataError\nfrom . import labels"),
        ("io/a.py", "import h5py\nfrom astropy.io import fits\nfrom ..core import errors"),
        ("io/surveys/a.py", "from ..shard import write\nfrom . import apogee"),
        ("synthesis/assemble.py", "from synth2obs.io.shard.write import write_shard"),
        ("models/alignment/flow.py", "from nflows.flows import Flow"),
        ("training/tracking/store.py", "def f():\n    import mlflow.pyfunc"),
        ("analysis/a.py", "from synth2obs.models import bridge\nimport synth2obs.physics.lsf"),
        (
            "reports/a.py",
            "from synth2obs.training import config_io\nfrom synth2obs.io.tables import as_table",
        ),
        ("cli.py", "def f():\n    from synth2obs.reports import survey\n    import synth2obs"),
        ("__init__.py", "from synth2obs.analysis.morph import morph"),
    ],
)
def test_the_checker_lets_pass_what_is_allowed(path, text):
    assert not violations(text, path)
