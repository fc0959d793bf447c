"""The checks behind a verdict, as a table of a survey's report."""

from typing import Any

from synth2obs.reports.content import Cell, PageTable, cell, decimals, significant, with_error
from synth2obs.reports.results import Metrics, lookup, measured

MARKS = {"PASS": "✓ pass", "WARN": "! warns", "FAIL": "✗ fails"}
"""How a status is written: by sign and word, not by colour alone."""

CAPTION = (
    "Thresholds are settings of the run, [thresholds]; of several numbers (labels, baselines) the worst counts. A "
    "check whose number was not measured is left out."
)


def verdict_table(found: Metrics, survey: str) -> PageTable:
    """A survey's checks: the number, from where it warns and fails, and what it says.

    Args:
        found: ``verdict`` of ``metrics.json``.
        survey: Whose checks.
    """
    checks = [check for check in lookup(found, "checks") or [] if check["survey"] == survey]
    columns = ["check", "number", "warns above", "fails above", "says"]
    return PageTable(columns, [_row(check) for check in checks], CAPTION, words=(0,))


def in_words(check: Metrics) -> str:
    """A check in half a sentence: ``morph's anchored rms over theory's is 1.20 ± 0.02, limits 0.95 and 1``."""
    if _without_labels(check):
        return _what(check)
    limits = f"limits {significant(check['warn'])} and {significant(check['fail'])}"
    return f"{_what(check)} {_number(check)} ({limits})"


def _row(check: Any) -> list[Cell]:
    return [
        Cell(_what(check)),
        cell(_number(check)),
        cell(significant(check["warn"])),
        cell(significant(check["fail"])),
        cell(MARKS[check["status"]]),
    ]


def _without_labels(check: Metrics) -> bool:
    return check.get("name") == "unlabelled" and bool(check["value"])


def _what(check: Metrics) -> str:
    if _without_labels(check):
        return f"no test star has literature labels inside the grid; {check['what']}"
    return f"{check['meaning']} ({check['what']})" if check.get("what") else str(check["meaning"])


def _number(check: Metrics) -> str:
    if check.get("name") == "unlabelled":
        return "yes" if check["value"] else "no"
    value, error = measured(check, "value"), measured(check, "error")
    if value is None or not error:
        return significant(value, 2)
    return with_error(value, error, decimals(error))
