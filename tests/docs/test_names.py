"""Links, paths and names in the documentation lead somewhere."""

import importlib
import re

import pytest
from pages import PAGES, ROOT, name_of, prose, spans

import synth2obs

PACKAGE = ROOT / "synth2obs"
LINK = re.compile(r"\]\((?!https?:)([^)\s#]+)(?:#[^)\s]*)?\)")
PATH = re.compile(r"(?:[\w.-]+/)*[\w.-]+\.py|(?:[\w.-]+/)+(?:[\w.-]+\.\w+)?")
ROOMS = {path.name for folder in (ROOT, PACKAGE) for path in folder.iterdir()} - {
    "data",
    "runs",
    "out",
    "site",
}
"""First folders of a path that is ours; others are a user's."""

PARTS = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("_")} - {"data"}
DOTTED = re.compile(
    rf"(?:synth2obs\.(?:{'|'.join(PARTS)})|{'|'.join(sorted(PARTS - {'cli', 'api'}))})(?:\.\w+)+"
)

SCRIPT = re.compile(r"\bpython (?:\.\./)*([\w./-]+\.py)([^\n`]*)")

pages = pytest.mark.parametrize("page", PAGES, ids=name_of)


@pages
def test_links_lead_to_files(page):
    missing = [link for link in LINK.findall(prose(page)) if not (page.parent / link).exists()]
    assert not missing


@pages
def test_paths_exist(page):
    """A path is given from the repository, from ``synth2obs/``, or from the page itself.

    A bare name of a module may stand for one beside a path that the same paragraph gives in full.
    """
    missing = []
    for paragraph in re.split(r"\n\s*\n|(?<=\|)\n", prose(page)):
        given = [text for text in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", paragraph) if PATH.fullmatch(text)]
        places = [ROOT, PACKAGE, page.parent]
        for text in given:
            found = [place / text for place in places if (place / text).exists()]
            if found:
                places.append(found[0] if found[0].is_dir() else found[0].parent)
            elif text.split("/")[0] in ROOMS or text.endswith(".py"):
                missing.append(text)
    assert not missing


@pages
def test_modules_and_their_names_exist(page):
    """``synth2obs.core.spectra.Spectra``, ``io.ingest.ingest.ingest``: what a module has."""
    names = [text for text in spans(page) if DOTTED.fullmatch(text) and not text.endswith((".py", ".md"))]
    missing = [name for name in names if not is_there(name)]
    assert not missing


@pages
def test_scripts_and_their_options_exist(page):
    """An option of a script stands in its source, as argparse needs it."""
    for path, arguments in SCRIPT.findall(page.read_text(encoding="utf-8")):
        scripts = [place / path for place in (ROOT, page.parent) if (place / path).is_file()]
        assert scripts, f"{path} does not exist"
        source = scripts[0].read_text(encoding="utf-8")
        named = set(re.findall(r"(?<!\S)--[\w-]+", arguments)) - {"--help"}
        unknown = {option for option in named if f'"{option}"' not in source}
        assert not unknown, f"{path} has no {unknown}"


def is_there(name: str) -> bool:
    """Whether modules and attributes of this name can be reached."""
    parts = name.removeprefix("synth2obs.").split(".")
    found, path = synth2obs, "synth2obs"
    for part in parts:
        path = f"{path}.{part}"
        if not hasattr(found, part):
            try:
                importlib.import_module(path)
            except ImportError:
                return False
        found = getattr(found, part)
    return True


def test_every_page_is_on_the_site_and_every_docs_page_in_the_readme():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    for page in PAGES:
        if page != ROOT / "docs" / "index.md":
            relative = name_of(page).removesuffix(".md")
            assert relative.removeprefix("docs/") in index, relative


@pytest.mark.parametrize("name", ["core.spectra.Spectra", "synth2obs.io.shard.write.write_shard"])
def test_the_checker_finds_what_is_there(name):
    assert is_there(name) and DOTTED.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["core.spectra.Spectrum", "models.inference.encode", "synth2obs.models.flows"]
)
def test_the_checker_misses_what_is_not(name):
    assert not is_there(name) and DOTTED.fullmatch(name)
