"""How labels of test stars run with what else is known of them, as tables of a survey's report."""

from collections.abc import Mapping
from typing import Any

from synth2obs.reports.content import Cell, PageTable, cell, count, significant, with_error
from synth2obs.reports.results import LABELS, lookup, measured

CHI2, SLOPE, MEDIAN = "chi2_per_pixel", "slope", "median"

NUMBERS = (
    "Change of fitted minus literature labels, and of χ² per pixel, over one spread (standard deviation by the median "
    "absolute deviation) of each column that the spectra carry: median slope through pairs of test stars ± 1 σ by "
    "bootstrap; bold: beyond 3 σ. Nothing of the sky or the instrument should move a star's labels. Columns that go "
    "along with the stars' own kind, as S/N does with temperature, inherit the trends of that."
)
GROUPS = (
    "Median of fitted minus literature labels, and of χ² per pixel, over the test stars of each group, ± 1 σ. Look for "
    "groups that differ from each other by more than their errors. A dash: fewer than five stars."
)
SIGNIFICANT = 3.0


def trends_table(row: Mapping[str, Any]) -> PageTable | None:
    """Columns of numbers as rows, labels and χ² as columns; None where there are none."""
    found = _rows(row, "numbers")
    if not found:
        return None
    body = [
        [
            Cell(str(one.get("column", ""))),
            Cell(significant(measured(one, "spread"))),
            *_cells(one, SLOPE),
            Cell(_stars(one)),
        ]
        for one in found
    ]
    return PageTable(["column", "its spread", *_titles(), "stars"], body, NUMBERS)


def trend_groups_table(row: Mapping[str, Any]) -> PageTable | None:
    """Groups of columns of text as rows, labels and χ² as columns; None where there are none."""
    found = _rows(row, "groups")
    if not found:
        return None
    body = [
        [Cell(f"{one.get('column', '')} = {one.get('group', '')}"), *_cells(one, MEDIAN), Cell(_stars(one))]
        for one in found
    ]
    return PageTable(["group", *_titles(), "stars"], body, GROUPS)


def _rows(row: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    found = lookup(row, "trends", kind)
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _column(one: Mapping[str, Any]) -> list[Cell]:
    return [Cell(str(one.get("column", ""))), Cell(significant(measured(one, "spread")))]


def _titles() -> list[str]:
    return [*(f"{name} ({unit})" for name, unit, _ in LABELS.values()), "χ² per pixel"]


def _cells(one: Mapping[str, Any], key: str) -> list[Cell]:
    digits = {label: places for label, (_, _, places) in LABELS.items()} | {CHI2: 2}
    return [_cell(one, name, key, places + 1) for name, places in digits.items()]


def _cell(one: Mapping[str, Any], name: str, key: str, digits: int) -> Cell:
    value, error = (measured(one, name, part) for part in (key, "error"))
    beyond = key == SLOPE and value is not None and error is not None and abs(value) > SIGNIFICANT * error
    text = with_error(value, error, digits, sign=key == SLOPE or name in LABELS)
    return cell(text, "too few stars", best=beyond)


def _stars(one: Mapping[str, Any]) -> str:
    """Those of the quantity that is known of most."""
    numbers = [measured(one, name, "n") for name in (*LABELS, CHI2)]
    return count(max((number for number in numbers if number is not None), default=None))
