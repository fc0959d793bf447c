"""Labels by group of lines, as a table of a survey's report."""

from collections.abc import Mapping
from typing import Any

from synth2obs.reports.content import Cell, PageTable, cell, with_error
from synth2obs.reports.results import LABELS, lookup, measured

SIDES = ("theory", "morph")

TITLES = {
    "hydrogen": "hydrogen (Balmer)",
    "metals": "all but hydrogen",
    "strong": "strong lines",
    "weak": "weak lines",
    "blue": "blue third",
    "middle": "middle third",
    "red": "red third",
}

CAPTION = (
    "Labels from some lines alone minus labels from all lines, median over test stars; errors from stars' scatter. "
    "Lines that disagree on the same stars show an error of theory, and no shift of all labels makes them agree; what "
    "the morph mends comes nearer to 0. Strong: deeper than 10 %. A dash: these lines do not tell the label."
)


def groups_table(row: Mapping[str, Any]) -> PageTable | None:
    """Groups of lines as rows, theory with weighted pixels and the morph as columns; None where none were fitted."""
    groups = list(dict.fromkeys(group for side in SIDES for group in lookup(row, "line_groups", side) or {}))
    if not groups:
        return None
    columns = [f"{name} ({unit}), {side}" for name, unit, _ in LABELS.values() for side in SIDES]
    return PageTable(
        ["lines", *columns],
        [[Cell(TITLES.get(group, group)), *_cells(row, group)] for group in groups],
        CAPTION,
    )


def _cells(row: Mapping[str, Any], group: str) -> list[Cell]:
    found = []
    for label, (_, _, digits) in LABELS.items():
        for side in SIDES:
            value, error = (
                measured(row, "line_groups", side, group, label, key) for key in ("difference", "error")
            )
            found.append(cell(with_error(value, error, digits, sign=True), "these lines do not tell it"))
    return found
