"""Two runs side by side: one HTML page, self-contained."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from synth2obs.core.files import write_atomic
from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import (
    DASH,
    Block,
    Cell,
    Note,
    PageSection,
    PageTable,
    Paragraph,
    Picture,
    cell,
    decimals,
    fixed,
    times,
    with_error,
)
from synth2obs.reports.results import LABELS, lookup, measured, read_arrays
from synth2obs.reports.run_list import Run
from synth2obs.reports.spectrum_figures import WAVELENGTH
from synth2obs.reports.style import COLOURS, dense, in_house_style, new_figure, robust_limits, svg_uri
from synth2obs.reports.templating import page_style, template

CAPTION = (
    "The morph's numbers; Δ is the second minus the first, with both errors as if the stars were others: where they "
    "are the same, it is known better. Bold: smaller by more than that."
)

NUMBERS: tuple[tuple[str, float, int, bool, tuple[str, ...]], ...] = (
    ("anchored rms (% of continuum)", 100.0, 2, False, ("anchored_rms", "morph")),
    ("free rms (% of continuum)", 100.0, 2, False, ("free_rms", "morph")),
    ("theory's anchored rms (% of continuum)", 100.0, 2, False, ("anchored_rms", "theory")),
    *(
        (f"{name} {kind} ({unit})", 1.0, digits, kind == "bias", ("label_recovery", "morph", label, kind))
        for label, (name, unit, digits) in LABELS.items()
        for kind in ("bias", "scatter")
    ),
    ("gap (% of continuum)", 100.0, 2, False, ("gap", "rms")),
    ("functions of labels in the gap", 1.0, 0, False, ("gap", "features")),
    ("χ² per pixel with fitted noise", 1.0, 2, False, ("noise", "chi2_per_pixel")),
)
"""What is compared: title, factor, decimals, whether it has a sign, and where it stands."""


def write_comparison(first: Run, second: Run, out: Path) -> Path:
    """Write the page; equal input gives equal bytes.

    Args:
        first, second: Finished runs.
        out: Page to write.

    Raises:
        DataError: If arrays of a run cannot be read.
        OutputError: If the page cannot be written.
    """
    write_atomic(out, render(first, second).encode("utf-8"))
    return out


def render(first: Run, second: Run) -> str:
    """The page as text."""
    surveys = list(dict.fromkeys([*first.metrics["surveys"], *second.metrics["surveys"]]))
    sections = [PageSection(name, name, list(_survey(name, first, second))) for name in surveys]
    sections.append(PageSection("settings", "Settings that differ", [_settings(first, second)]))
    return str(
        template("compare.html").render(
            style=page_style(), sections=sections, runs=[_about(run) for run in (first, second)]
        )
    )


def _about(run: Run) -> dict[str, str]:
    commit = str(lookup(run.metrics, "run", "git_commit") or "")[:12]
    return {
        "name": run.folder.name,
        "verdict": run.verdict or "none",
        "started": run.started,
        "commit": commit,
    }


def _survey(name: str, first: Run, second: Run) -> Iterator[Block]:
    rows = [run.metrics["surveys"].get(name) for run in (first, second)]
    if any(row is None for row in rows):
        missing = (first, second)[rows.index(None)]
        yield Note(f"{missing.folder.name} has no survey of that name.")
        return
    stars = [measured(row, "n_anchored") for row in rows]
    if stars[0] != stars[1]:
        yield Paragraph(f"{fixed(stars[0], 0)} and {fixed(stars[1], 0)} test stars with literature labels.")
    yield _numbers(rows, first, second)
    figure = _gaps(name, first, second)
    if figure is not None:
        caption = (
            "Gaps at each run's median star, the first orange, the second blue; below: second minus first."
        )
        yield Picture(svg_uri(figure, name), caption, "The gaps")


def _numbers(rows: list[Any], first: Run, second: Run) -> PageTable:
    lines = [line for number in NUMBERS if (line := _line(number, rows)) is not None]
    return PageTable(["number", first.folder.name, second.folder.name, "Δ"], lines, CAPTION)


def _line(number: tuple[str, float, int, bool, tuple[str, ...]], rows: list[Any]) -> list[Cell] | None:
    title, factor, digits, signed, keys = number
    values = [factor * value for row in rows if (value := measured(row, *keys)) is not None]
    errors = [times(measured(row, *_error(keys)), factor) for row in rows]
    if len(values) < len(rows):
        return None
    change = values[1] - values[0]
    spread = math.hypot(*(error or 0.0 for error in errors)) or None
    sizes = [abs(value) for value in values]
    clear = spread is not None and abs(sizes[1] - sizes[0]) > spread
    texts = [with_error(v, e, digits, sign=signed) for v, e in zip(values, errors, strict=True)]
    return [
        Cell(title),
        *(cell(text, best=clear and size == min(sizes)) for text, size in zip(texts, sizes, strict=True)),
        cell(with_error(change, spread, decimals(spread) if spread else digits, sign=True)),
    ]


def _error(keys: tuple[str, ...]) -> tuple[str, ...]:
    """Where the error of a number stands."""
    if keys[0] in ("anchored_rms", "free_rms"):
        return (f"{keys[0]}_error", *keys[1:])
    return (*keys[:-1], f"{keys[-1]}_error")


def _settings(first: Run, second: Run) -> Block:
    one, two = (dict(_leaves(lookup(run.metrics, "run", "config"))) for run in (first, second))
    differ = [key for key in sorted(one.keys() | two.keys()) if one.get(key) != two.get(key)]
    if not differ:
        return Note("None: the runs have the same settings.")
    rows = [[Cell(key), cell(one.get(key, DASH)), cell(two.get(key, DASH))] for key in differ]
    return PageTable(["setting", first.folder.name, second.folder.name], rows)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, str(tree)


def _gaps(name: str, first: Run, second: Run) -> Figure | None:
    found = [_arrays(run, name) for run in (first, second)]
    if any("gap_mean" not in arrays for arrays in found):
        return None
    wave, gap = found[1]["wavelength"], [100 * arrays["gap_mean"] for arrays in found]
    before = np.interp(wave, found[0]["wavelength"], gap[0], np.nan, np.nan)
    with in_house_style():
        figure = new_figure(4.2)
        panels = figure.subplots(2, 1, sharex=True, height_ratios=[1.6, 1.0])
        for values, colour in ((before, "theory"), (gap[1], "morph")):
            panels[0].plot(wave, values, color=COLOURS[colour], lw=0.8, rasterized=dense(wave))
        panels[1].plot(wave, gap[1] - before, color=COLOURS["observed"], lw=0.8, rasterized=dense(wave))
        panels[0].set_ylim(*robust_limits(np.concatenate([before, gap[1]]), reach=99.9))
        panels[1].set_ylim(*panels[0].get_ylim())
        panels[0].set_ylabel("gap (% of continuum)")
        panels[1].set(ylabel="difference (%)", xlabel=WAVELENGTH)
    return figure


def _arrays(run: Run, survey: str) -> Arrays:
    path = run.folder / "evaluation" / f"{survey}.npz"
    return read_arrays(path) if path.is_file() else {}
