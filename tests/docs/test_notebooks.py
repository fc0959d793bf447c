"""Notebooks are what their sources say, executed, and name nothing of the machine that built them.

Their sources are pages like the others: `test_examples.py` runs their blocks. Here what is committed is looked at, and
a source is built.
"""

import base64
import importlib.util
import json
import re
import sys

import pytest
from pages import ROOT, blocks

FOLDER = ROOT / "docs" / "notebooks"
SPEC = importlib.util.spec_from_file_location("build_notebooks", FOLDER / "build.py")
build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(build)
LIMIT = 2_000_000

each = pytest.mark.parametrize("name", build.NAMES)


def committed(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def outputs(name):
    for cell in committed(name)["cells"]:
        yield from cell.get("outputs", [])


def texts(name):
    for output in outputs(name):
        found = {"text": output.get("text", ""), **output.get("data", {})}
        yield from ("".join(found[key]) for key in ("text", "text/plain", "text/html") if key in found)


def test_every_source_is_built_and_every_notebook_has_a_source():
    for ending in ("md", "ipynb"):
        assert {path.stem for path in FOLDER.glob(f"*.{ending}")} == set(build.NAMES)


@each
def test_cells_are_the_blocks_of_the_source(name):
    """Whoever changes a source builds its notebook again: ``python docs/notebooks/build.py``."""
    cells = [
        "".join(cell["source"]).strip() for cell in committed(name)["cells"] if cell["cell_type"] == "code"
    ]
    assert cells == [block.text.strip() for block in blocks(FOLDER / f"{name}.md")]


@each
def test_text_is_that_of_the_source(name):
    cells = ["".join(c["source"]) for c in committed(name)["cells"] if c["cell_type"] == "markdown"]
    source = re.sub(r"```python\n.*?```", "", (FOLDER / f"{name}.md").read_text(encoding="utf-8"), flags=re.S)
    assert "".join("".join(cells).split()) == "".join(source.split())


@each
def test_outputs_are_whole(name):
    """Every cell ran, in order, without an error or a warning, and something is to be seen."""
    counts = [cell["execution_count"] for cell in committed(name)["cells"] if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert all(
        output["output_type"] != "error" and output.get("name") != "stderr" for output in outputs(name)
    )
    pictures = [
        output["data"]["image/png"] for output in outputs(name) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == len(build.GALLERY[name])


@each
def test_outputs_name_no_place_of_a_machine(name):
    assert not [found[0] for text in texts(name) if (found := build.MACHINE.search(text))]


@each
def test_pictures_of_the_gallery_are_the_notebook_s(name):
    pictures = [
        base64.b64decode("".join(output["data"]["image/png"]))
        for output in outputs(name)
        if "image/png" in output.get("data", {})
    ]
    files = [(ROOT / "docs" / "images" / f"{file}.png").read_bytes() for file in build.GALLERY[name]]
    assert pictures == files


@each
def test_every_section_says_what_to_conclude(name):
    sections = (FOLDER / f"{name}.md").read_text(encoding="utf-8").split("\n## ")[1:]
    assert sections and all(section.count("**What to conclude.**") == 1 for section in sections)


def test_what_is_committed_is_small():
    files = [*FOLDER.iterdir(), *(ROOT / "docs" / "images").iterdir()]
    assert sum(file.stat().st_size for file in files if file.is_file()) < LIMIT


@pytest.mark.parametrize(
    "text", ["read /tmp/desk/mine.h5", "in '/home/me/x'", "<a.B at 0x7f0e48f7ab50>", '<table id="table123">']
)
def test_what_is_a_machine_s_is_found(text):
    assert build.MACHINE.search(text)


@pytest.mark.parametrize(
    "text", ["flux / continuum", "and/or", "https://doi.org/10.1/x", "λ / FWHM", "</th></tr>"]
)
def test_what_is_nobody_s_is_left(text):
    assert not build.MACHINE.search(text)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("jupytext"), reason="needs the extra docs")
def test_building_twice_gives_the_same(trained, tmp_path, monkeypatch):
    """With the small training's bridge."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    monkeypatch.setattr(build, "IMAGES", tmp_path)
    monkeypatch.setattr(build, "HERE", tmp_path)
    (tmp_path / "sun.md").write_text((FOLDER / "sun.md").read_text(encoding="utf-8"), encoding="utf-8")
    found = []
    for _ in range(2):
        build.build("sun", trained.folder)
        found.append((tmp_path / "sun.ipynb").read_bytes())
    assert found[0] == found[1]
