"""docs/extending.md does what it says: its files and lines, in a copy of the package, pass the laws and train."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"<!-- (file|lines|run)(?:: (\S+?))?(?: (\w+))? -->\n```\w+\n(.*?)```", re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)


def files():
    return {name: text for kind, name, _, text in BLOCKS if kind == "file"}


def add_lines(path: Path, registry: str, text: str) -> None:
    """Put imports beside the others, and entries at the head of a registry."""
    imports, _, entries = text.rpartition("\n\n") if text.startswith("from ") else ("", "", text)
    content = path.read_text(encoding="utf-8")
    content = re.sub(
        r"^(?=from synth2obs)", lambda found: imports + "\n", content, count=1, flags=re.MULTILINE
    )
    head = re.search(rf"^{registry}\b.*\n(?:    \w+\.name: \w+\n    for \w+ in \(\n)?", content, re.MULTILINE)
    assert head, f"{path} has no {registry}"
    path.write_text(content[: head.end()] + entries + content[head.end() :], encoding="utf-8")


@pytest.fixture(scope="module")
def copy_of(tmp_path_factory):
    """The package with everything that the page adds, and nothing else changed."""
    root = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("__pycache__", "*.h5")
    shutil.copytree(ROOT / "synth2obs", root / "synth2obs", ignore=ignored)
    for data in (ROOT / "synth2obs/data").glob("*.h5"):
        (root / "synth2obs/data" / data.name).symlink_to(data)
    for name, text in files().items():
        assert not (root / name).exists(), name
        (root / name).write_text(text, encoding="utf-8")
    for kind, name, registry, text in BLOCKS:
        if kind == "lines":
            add_lines(root / name, registry, text)
    return root


def run(root: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_page_shows_one_of_each():
    rooms = {Path(name).parent.name for name in files()}
    assert rooms == {"emulator", "alignment", "gap", "networks", "surveys", ""}
    assert [kind for kind, *_ in BLOCKS].count("run") == 2


def test_new_entries_keep_the_laws(copy_of):
    tests = str(ROOT / "tests/laws/test_registry_laws.py")
    options = ("-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(copy_of))
    out = run(copy_of, "-m", "pytest", *options, "-k", "gaussian or shift or thermal or entry", tests)
    assert re.search(r"\b\d{2} passed", out), out


def test_a_survey_by_toml_and_one_by_reader(copy_of):
    for kind, _, _, text in BLOCKS:
        if kind == "run":
            run(copy_of, "-c", text)


TRAIN = """
from pathlib import Path
from synth2obs.analysis.baselines import BASELINES, baselines
from synth2obs.models.bundle import load_bundle
from synth2obs.training.run import read_config, train
names = ["emulator.name=gaussian", "emulator.length=6", "morph.name=shift", "gap.name=thermal"]
found = train(read_config(None, [*{small!r}, *names]), Path("run"), progress=False)
found.tracker.close("FINISHED")
bridge = load_bundle(found.bundle)
kinds = [type(part).__name__ for part in (bridge.emulator, bridge.survey("miles").morph, bridge.survey("miles").gap)]
assert kinds == ["GaussianEmulator", "ShiftMorph", "ThermalGap"], kinds
assert float(bridge.survey("miles").morph.shift.detach().abs().max()) > 0
made = baselines(bridge, found.state.seen["miles"], found.state.stars["miles"])
assert made.keys() == set(BASELINES) and "thermal_residual" in made
assert made["thermal_residual"].survey("miles").gap.mean.any()
from synth2obs.analysis.networks import NETWORKS, NetworksConfig
from synth2obs.analysis.networks.lessons import Lessons, Theory
state = found.state
theory = Theory(state.flux[state.kept], state.x[state.kept])
lessons = Lessons(state.bridge, theory, state.seen["miles"], state.stars["miles"])
assert "nearest" in NetworksConfig().wanted()
answer = NETWORKS["nearest"](lessons).answer(state.seen["miles"])
assert answer.labels.shape == answer.errors.shape == (len(state.seen["miles"]), 3) and answer.fit is None
assert answer.labels[:, 0].std() > 100
"""


def test_a_training_with_all_of_them_is_saved_and_loaded(copy_of, small):
    run(copy_of, "-c", TRAIN.format(small=list(small)))
