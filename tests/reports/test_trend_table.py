"""The tables of trends: what was measured, with its errors, and nothing where nothing was."""

import pytest

from synth2obs.reports.checks import check_metrics
from synth2obs.reports.survey import render
from synth2obs.reports.trend_table import trend_groups_table, trends_table

NUMBER = {
    "column": "airmass",
    "spread": 0.21,
    "teff": {"slope": -41.26, "error": 6.0, "n": 40},
    "logg": {"slope": 0.02, "error": 0.03, "n": 40},
    "chi2_per_pixel": {"slope": 0.1, "error": 0.2, "n": 60},
}
GROUP = {"column": "field", "group": "<north>", "teff": {"median": 12.0, "error": 3.0, "n": 9}}


def texts(table):
    return [[one.text for one in row] for row in table.rows]


def test_slopes_with_errors_and_dashes():
    table = trends_table({"trends": {"numbers": [NUMBER]}})
    assert table.columns == [
        "column", "its spread", "Teff (K)", "log g (dex)", "[Fe/H] (dex)", "χ² per pixel", "stars",
    ]  # fmt: skip
    row = ["airmass", "0.21", "−41.3 ± 6.0", "+0.020 ± 0.030", "—", "+0.100 ± 0.200", "60"]
    assert texts(table) == [row]
    assert [one.best for one in table.rows[0]] == [False, False, True, False, False, False, False]
    assert table.rows[0][4].hint == "too few stars"


def test_groups():
    table = trend_groups_table({"trends": {"groups": [GROUP]}})
    assert texts(table) == [["field = <north>", "+12.0 ± 3.0", "—", "—", "—", "9"]]


@pytest.mark.parametrize(
    "row", [{}, {"trends": None}, {"trends": {}}, {"trends": {"numbers": [], "groups": None}}]
)
def test_nothing_measured(row):
    assert trends_table(row) is None and trend_groups_table(row) is None


def test_a_report_shows_them_and_escapes_names(metrics, arrays):
    metrics["surveys"]["miles"]["trends"] = {"numbers": [NUMBER], "groups": [GROUP]}
    check_metrics(metrics)
    page = render(metrics, arrays, "miles")
    assert "airmass" in page and "field = &lt;north&gt;" in page
