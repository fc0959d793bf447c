"""Whether quoted errors of labels are right, as a table of a survey's report."""

from collections.abc import Mapping
from typing import Any

from synth2obs.reports.content import DASH, Cell, PageTable, cell, fixed, with_error
from synth2obs.reports.results import LABELS, METHODS, lookup, measured
from synth2obs.reports.style import COLOURS

CAPTION = (
    "Quoted: median error of the fits. Literature: median error of its labels (a usual one where it gives none). "
    "Real: scatter of fitted minus literature with the literature's error taken out; quoted errors are right if "
    "they are as large. Pulls are differences over both errors: their width should be 1, and 68 and 95 % of stars "
    "should lie within 1 and 2. Where real errors are larger, scale quoted ones by the ratio."
)


def pulls_table(row: Mapping[str, Any]) -> PageTable | None:
    """A row for every label and method; None where none was judged."""
    found = lookup(row, "pulls")
    if not isinstance(found, Mapping) or not any(found.values()):
        return None
    rows = [_row(row, label, method) for label in LABELS for method in found if lookup(found, method, label)]
    columns = ["label", "by", "quoted", "real", "literature", "width of pulls", "in 1 σ (%)", "in 2 σ (%)"]
    return PageTable(columns, rows, CAPTION)


def _row(row: Mapping[str, Any], label: str, method: str) -> list[Cell]:
    name, unit, digits = LABELS[label]
    of = {key: measured(row, "pulls", method, label, key) for key in NUMBERS}
    return [
        Cell(f"{name} ({unit})", colour=COLOURS[method]),
        cell(METHODS[method]),
        *(cell(fixed(of[key], digits + (digits > 0))) for key in ("quoted", "real", "literature")),
        cell(with_error(of["width"], of["width_error"])),
        *(cell(_share(of[key], of[f"{key}_error"])) for key in ("within_1", "within_2")),
    ]


NUMBERS = (
    "quoted",
    "real",
    "literature",
    *(f"{name}{end}" for name in ("width", "within_1", "within_2") for end in ("", "_error")),
)


def _share(value: float | None, error: float | None) -> str:
    if value is None:
        return DASH
    return with_error(100.0 * value, None if error is None else 100.0 * error, 0)
