"""The surveys of a run side by side."""

from synth2obs.reports.content import (
    DASH,
    Block,
    Cell,
    PageTable,
    Paragraph,
    cell,
    count,
    fixed,
    percent,
)
from synth2obs.reports.results import LABELS, Metrics, lookup, measured
from synth2obs.reports.tiles import bias_with_error, percent_with_error
from synth2obs.reports.verdict_table import MARKS

LEAD = (
    "The same theory, decoder and thresholds for all. Residuals are comparable only as far as resolution, wavelengths "
    "and noise are; biases are against each survey's own literature labels."
)
CAPTION = (
    "Anchored residuals in % of the continuum, medians over test stars with literature labels; bias is the median of "
    "fitted minus literature; ± 1 σ of a bootstrap over stars. Flagged: a poor fit or few good pixels."
)


def surveys_compared(metrics: Metrics, survey: str = "") -> list[Block]:
    """A row a survey; nothing to compare in a run of one.

    Args:
        metrics: Of a run.
        survey: Which of them the page is about; empty for none.
    """
    if len(metrics["surveys"]) < 2:
        return []
    return [Paragraph(LEAD), survey_table(metrics, survey)]


def survey_table(metrics: Metrics, survey: str = "") -> PageTable:
    """Verdict, residuals and biases with errors of every survey."""
    columns = [
        "survey",
        "verdict",
        "test stars",
        "flagged (%)",
        "residual, theory",
        "residual, morph",
        "χ² morph",
    ]
    columns += [f"{name} bias ({unit})" for name, unit, _ in LABELS.values()]
    rows = [_row(metrics, name, name == survey) for name in sorted(metrics["surveys"])]
    return PageTable(columns, rows, CAPTION)


def status_of(metrics: Metrics, survey: str) -> str | None:
    """PASS, WARN or FAIL; None without a verdict."""
    found = lookup(metrics, "verdict", "surveys", survey)
    return found if found in MARKS else None


def _row(metrics: Metrics, survey: str, here: bool) -> list[Cell]:
    row, status = metrics["surveys"][survey], status_of(metrics, survey)
    return [
        Cell(f"{survey} (this page)" if here else survey),
        cell(MARKS[status].replace(" ", "\u00a0") if status else DASH),
        cell(count(measured(row, "n_test"))),
        cell(percent(measured(row, "flagged", "share"), 0)),
        *(cell(percent_with_error(row, "anchored_rms", method, unit="")) for method in ("theory", "morph")),
        cell(fixed(measured(row, "anchored_chi2", "morph"))),
        *(cell(bias_with_error(row, "morph", label)) for label in LABELS),
    ]
