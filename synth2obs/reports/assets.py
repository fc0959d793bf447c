"""What lies beside the pages: plotly's code, once, and the spectra of the stars, some in a file.

A page may not read files (``fetch`` of ``file://`` is forbidden), but it may load scripts: spectra are scripts that
call one function with their numbers in base64.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import write_atomic
from synth2obs.reports.checks import Arrays
from synth2obs.reports.results import has

FOLDER, PLOTLY = "assets", "plotly.min.js"
"""Beside the pages, and the file in it that all pages share."""

EACH = 16
"""Stars in a file: about a megabyte."""

CURVES = ("observed", "theory", "morph")


def has_spectra(arrays: Arrays) -> bool:
    """Whether an evaluation kept the spectra of its test stars."""
    return "test_id" in arrays and has(
        arrays, "wavelength", "spectra_star", *(f"spectra_{name}" for name in CURVES)
    )


def write_assets(arrays: Arrays, page: Path) -> None:
    """Write what a page loads: ``assets/plotly.min.js`` and ``assets/<page>/stars-000.js`` and so on.

    Args:
        arrays: Contents of ``evaluation/<survey>.npz``.
        page: The page; its assets have its name, so that pages can share a folder.

    Raises:
        OutputError: If a file cannot be written.
    """
    folder = page.parent / FOLDER
    _write_plotly(folder / PLOTLY)
    written = set()
    for name, text in star_files(arrays):
        write_atomic(folder / page.stem / name, text.encode("ascii"))
        written.add(name)
    for old in set((folder / page.stem).glob("stars-*.js")):
        if old.name not in written:
            old.unlink()


def star_files(arrays: Arrays) -> Iterator[tuple[str, str]]:
    """Names and contents of the files of spectra."""
    if not has_spectra(arrays):
        return
    key = key_of(arrays)
    for number, first in enumerate(range(0, arrays["spectra_star"].size, EACH)):
        part = slice(first, first + EACH)
        curves = {name: [base64_of(row, "<i2") for row in arrays[f"spectra_{name}"][part]] for name in CURVES}
        told = json.dumps({"key": key, "file": number, **curves}, separators=(",", ":"))
        yield f"stars-{number:03d}.js", f"synth2obsStars({told});\n"


def key_of(arrays: Arrays) -> str:
    """What page and spectra must have in common to belong together."""
    digest = hashlib.sha256()
    for name in ("spectra_star", *(f"spectra_{curve}" for curve in CURVES)):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:16]


def base64_of(values: NDArray[Any], kind: str) -> str:
    """Numbers as base64 of their bytes, of a dtype such as ``<i2``."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def _write_plotly(path: Path) -> None:
    """Plotly's own file, unless it lies there already."""
    content = (files("plotly") / "package_data" / PLOTLY).read_bytes()
    if not path.is_file() or path.read_bytes() != content:
        write_atomic(path, content)
