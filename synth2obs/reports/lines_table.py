"""Lines of the gap, as tables of a survey's report; signs are those of the gap, as in its figure."""

from collections.abc import Mapping
from typing import Any

from synth2obs.reports.content import DASH, Cell, PageTable, cell, fixed, percent, times, with_error
from synth2obs.reports.results import gap_lines, measured

LEAST, LEAST_IN_BAND = 0.05, 0.5
"""Probability below which no element is named; the latter where a strong line or band has a name already."""

COLUMNS = (
    "λ vacuum (Å)",
    "gap (% of continuum)",
    "equivalent width (mÅ)",
    "significance (σ)",
    "what it is",
    "lines of the list there",
    "best element",
    "its probability (%)",
    "no element (%)",
    "or, with its probability",
)

HYDROGEN = "core of H"
"""How the note of a Balmer line begins, which no abundance of an element explains."""

CAPTION = (
    "The {count} deepest of {all} significant lines of the gap, ± 1 σ with the emulator's error and the wander of "
    "the continuum ({floor} % of the continuum, median). Signs as in the figure: negative where the stars absorb "
    "more than theory says, positive where less. What it is: cores of strong lines, formed where theory does not "
    "reach, and features of the interstellar medium. Lines of the list: the strongest that theory has there, by "
    "themselves no proof. Best element: the one whose abundance the line follows from star to star, or whose lines "
    "in theory have its shape, with its probability against the other elements and against a feature that no "
    "abundance makes. Probabilities know the noise and the errors of fitted abundances, not what is wrong with all "
    "of these together."
)

TELLURIC_CAPTION = (
    "Features of the Earth's atmosphere among the significant lines, deepest first: they stay where they are "
    "whatever a star's velocity, and say nothing about the theory of stars."
)


def lines_table(row: Mapping[str, Any]) -> PageTable | None:
    """The gap's deepest lines; None where there are none."""
    lines = gap_lines(row, "lines")
    if not lines:
        return None
    found, floor = measured(row, "gap", "significant_lines"), measured(row, "gap", "line_floor")
    count = len(lines) if found is None else int(found)
    caption = CAPTION.format(count=len(lines), all=count, floor=percent(floor))
    return PageTable(list(COLUMNS), [_line(line) for line in lines], caption)


def telluric_table(row: Mapping[str, Any]) -> PageTable | None:
    """Those of the Earth's atmosphere; None where there are none."""
    lines = gap_lines(row, "telluric")
    if not lines:
        return None
    return PageTable(list(COLUMNS[:5]), [_size(line) for line in lines], TELLURIC_CAPTION)


def _line(line: Mapping[str, Any]) -> list[Cell]:
    element, probability = named_element(line), measured(line, "probability")
    return [
        *_size(line),
        cell(_unbroken(str(line.get("listed") or DASH)), "the list has no strong line there"),
        cell(element or DASH, "no element explains how it varies"),
        cell(percent(probability if element else None, 0), "no element explains how it varies"),
        cell(percent(measured(line, "unexplained"), 0)),
        cell(_unbroken(str(line.get("alternatives") or DASH))),
    ]


def _size(line: Mapping[str, Any]) -> list[Cell]:
    """Where, how deep, how strong, how sure, and in which band; in the gap's sign."""
    depth, width = measured(line, "depth"), measured(line, "equivalent_width_mA")
    gap, error = times(depth, -100.0), times(measured(line, "depth_error"), 100.0)
    return [
        cell(fixed(measured(line, "wavelength"), 1)),
        cell(with_error(gap, error, sign=True)),
        cell(with_error(times(width, -1.0), measured(line, "equivalent_width_error_mA"), 0, sign=True)),
        cell(fixed(measured(line, "significance"), 1)),
        cell(str(line.get("note") or "")),
    ]


def named_element(line: Mapping[str, Any]) -> str:
    """The best element of a line; empty if none is probable, or it is a band's, or hydrogen's own."""
    element, note = line.get("element"), str(line.get("note") or "")
    improbable = (measured(line, "probability") or 0.0) < (LEAST_IN_BAND if note else LEAST)
    if element in (None, "none", note) or improbable or note.startswith(HYDROGEN):
        return ""
    return str(element)


def mark(line: Mapping[str, Any]) -> str:
    """What stands at a line in a figure: its band, or its element if that is more probable than not, or ?."""
    note = str(line.get("note") or "")
    if note.startswith("telluric"):
        return "⊕"
    if note:
        return note.removeprefix("core of ").replace("interstellar", "IS")
    return named_element(line) if (measured(line, "probability") or 0.0) > 0.5 else "?"


def _unbroken(text: str) -> str:
    """A list whose items are not torn apart at the end of a line."""
    return ", ".join(item.replace(" ", "\u00a0") for item in text.split(", "))
