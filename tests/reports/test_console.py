import io

import pytest
from rich.console import Console

from synth2obs.core.errors import DataError
from synth2obs.reports.console import baseline_table
from synth2obs.reports.content import fixed, tidy, with_error
from synth2obs.reports.results import METHODS
from synth2obs.reports.tables import methods_table, smallest


def shown(table):
    console = Console(file=io.StringIO(), width=140)
    console.print(table)
    return console.file.getvalue()


def test_one_row_per_method_below_every_survey(metrics):
    table = baseline_table(metrics)
    text = shown(table)
    assert table.row_count == 2 * (1 + len(METHODS))
    assert "2.02±0.05" in text and "+83±29, 143" in text and "—" in text


def test_nothing_is_cut_at_80_columns(metrics):
    console = Console(file=io.StringIO(), width=80)
    console.print(baseline_table(metrics))
    assert "…" not in console.file.getvalue()


def test_best_is_bold(metrics):
    cells = [
        cell.plain
        for column in baseline_table(metrics).columns
        for cell in column.cells
        if cell.style == "bold"
    ]
    assert cells.count("1.04±0.05") == 2 and cells.count("2.02±0.05") == 0
    level = ("−12±22, 110", "+9±20, 101")
    assert all(cells.count(text) == 2 for text in level), "within the errors of the best counts as best"


def test_nulls_and_odd_names_are_shown(metrics):
    metrics["surveys"] = {"a+b": {"anchored_rms": {"theory": None}}, "c": {}}
    assert shown(baseline_table(metrics)).count("—") >= 2 * len(METHODS)
    with pytest.raises(DataError, match="cannot name a file"):
        baseline_table({**metrics, "surveys": {"[bold]x": {}}})


def test_best_by_size_not_by_sign():
    assert smallest({"a": -0.5, "b": 0.1, "c": None}) == {"b"}
    assert smallest({"a": 0.1, "b": -0.1}) == {"a", "b"}
    assert smallest({"a": 0.1}) == set() == smallest({})


def test_columns_without_numbers_are_left_out(metrics):
    row = metrics["surveys"]["miles"]
    full = len(methods_table(row, {}).columns)
    row["free_rms"] = None
    assert len(methods_table(row, {}).columns) == full - 1


def test_numbers_are_written_as_astronomers_write_them():
    assert fixed(-0.0512, 2) == "−0.05" and fixed(0.2, 1, sign=True) == "+0.2"
    assert fixed(-0.001, 2, sign=True) == "0.00" and fixed(None) == "—"
    assert with_error(1.0, None) == "1.00" and with_error(-1.0, 0.25, sign=True) == "−1.00 ± 0.25"
    assert tidy("falls 2 % → 1 %") == "falls 2\u00a0%\u00a0→\u00a01\u00a0%"
