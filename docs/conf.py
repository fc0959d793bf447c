"""The documentation site: ``sphinx-build -c docs -W --keep-going . site`` writes it to ``site/``.

The source folder is the repository itself, so that links between README, docs and data are the same here and there.
"""

import re
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy.typing
from sphinx.errors import SphinxError

import synth2obs

Scalar = TypeVar("Scalar")


class ArrayLike:
    """Its name stands on the page; numpy's own is a union of ten lines."""


class NDArray(Generic[Scalar]):
    """Likewise."""


for short in (ArrayLike, NDArray):
    short.__module__ = "numpy.typing"
    setattr(numpy.typing, short.__name__, short)

project = "synth2obs"
author = "The synth2obs developers"
copyright = author
version = release = synth2obs.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/**.md",
    "docs/notebooks/*.ipynb",
    "experiments/*/README.md",
    "grids/*/README.md",
    "synth2obs/data/README.md",
]
exclude_patterns = [
    ".*",
    "site",
    "build",
    "dist",
    "out",
    "runs",
    "tests",
    "**/__pycache__",
    # Sources of the notebooks, which stand there executed.
    "docs/notebooks/*.md",
]

nb_execution_mode = "off"
myst_heading_anchors = 3
myst_links_external_new_tab = False
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = project
html_copy_source = False
html_show_sphinx = False
html_extra_path = ["redirect/index.html"]
"""Leads from the root of the site to its first page."""

FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon|manifest))[^>]*\bhref=[\"']?(?:https?:)?//"
    r"|url\([\"']?(?:https?:)?//|@import\s+[\"'](?:https?:)?//",
    re.IGNORECASE,
)
"""What a browser fetches by itself from another machine when a page is opened."""


def refuse_requests(app: Any, failure: Exception | None) -> None:
    """Fail the build if a page would fetch something from another machine."""
    for file in [] if failure else sorted(Path(app.outdir).rglob("*")):
        found = file.suffix in (".html", ".css") and FETCHED.search(file.read_text(encoding="utf-8"))
        if found:
            raise SphinxError(f"{file.relative_to(app.outdir)} fetches from another machine: {found[0]}")


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("build-finished", refuse_requests)
