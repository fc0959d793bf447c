"""The table that a terminal shows when a run has ended."""

from typing import TYPE_CHECKING, Any

from synth2obs.analysis.proof.measures import MEASURES
from synth2obs.reports.checks import check_metrics
from synth2obs.reports.content import DASH, fixed
from synth2obs.reports.proof_tables import TITLES, text_of
from synth2obs.reports.results import LABELS, METHODS, Metrics, measured
from synth2obs.reports.tables import smallest
from synth2obs.reports.tiles import bias_with_error, percent_with_error
from synth2obs.reports.verdict import FAIL, PASS, WARN, broken
from synth2obs.reports.verdict_table import in_words
from synth2obs.reports.without_labels import unlabelled

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

STYLES = {PASS: "green", WARN: "yellow", FAIL: "red"}

SHORT = {
    "theory_weighted": "pixels weighted",
    "constant_residual": "constant",
    "linear_residual": "linear in labels",
    "marginal_alignment": "marginal",
    "pretrained": "taught on theory",
    "cycle": "translation",
}
"""Names that leave a terminal of 80 columns room for the numbers."""


def baseline_table(metrics: Metrics) -> "Table":
    """Anchored rms and label recovery of every method on every survey; the best of each column is bold.

    Args:
        metrics: Contents of ``metrics.json``.

    Returns:
        A `rich.table.Table`: a heading per survey and one row per method, rms in % of the continuum, labels as
        bias ± its error, and scatter, against the literature.

    Raises:
        DataError: If the metrics are malformed.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    check_metrics(metrics)
    caption = "rms at literature labels; labels: bias ± its error, and scatter, against the literature; held-out stars"
    look: dict[str, Any] = {"box": SIMPLE_HEAD, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(title="theory against observation", caption=caption, **look)
    table.add_column("method", no_wrap=True)
    for title in ("rms (%)", *(f"{name} ({unit})" for name, unit, _ in LABELS.values())):
        table.add_column(title, justify="right", no_wrap=True)
    for survey, row in metrics["surveys"].items():
        _add_survey(table, survey, row)
        table.add_section()
    return table


PROOF = ("gap_explained", "teff_bias", "logg_bias", "fe_h_bias", "auprc_lines", "depth_ratio", "false_lines")
"""Scores that a terminal has room for."""


def proof_table(survey: str, rows: Metrics) -> "Table":
    """The main scores of every method on one survey of known truth.

    Args:
        survey: Its name.
        rows: Scores by method and key, as ``scores.json`` has them.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=survey, box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", no_wrap=True)
    for key in PROOF:
        table.add_column(f"{MEASURES[key].title} ({MEASURES[key].unit})".removesuffix(" ()"), justify="right")
    for method, row in rows.items():
        name = SHORT.get(method, TITLES.get(method, method))
        table.add_row(name, *(text_of(row, key, MEASURES[key]) for key in PROOF))
    return table


def _add_survey(table: "Table", survey: str, row: Any) -> None:
    from rich.text import Text

    bare = unlabelled(row)
    key = "free_rms" if bare else "anchored_rms"
    rms, errors = ({m: measured(row, name, m) for m in METHODS} for name in (key, f"{key}_error"))
    best = {"rms": smallest(rms, errors)}
    best |= {
        label: smallest(*(_biases(row, label, key) for key in ("bias", "bias_error"))) for label in LABELS
    }
    name = f"{survey}, no labels: rms with labels fitted" if bare else survey
    table.add_row(Text(name, style="cyan"), *(Text("") for _ in table.columns[1:]))
    for method in METHODS:
        cells = [Text(SHORT.get(method, METHODS[method]))]
        text = percent_with_error(row, key, method, unit="").replace(" ", "")
        cells.append(_bold(text, method in best["rms"]))
        cells += [
            Text("") if bare else _bold(_recovery(row, method, label), method in best[label])
            for label in LABELS
        ]
        table.add_row(*cells)


def _biases(row: Any, label: str, key: str) -> dict[str, float | None]:
    return {method: measured(row, "label_recovery", method, label, key) for method in METHODS}


def _recovery(row: Any, method: str, label: str) -> str:
    bias = bias_with_error(row, method, label).replace(" ", "")
    if bias == DASH:
        return DASH
    scatter = measured(row, "label_recovery", method, label, "scatter")
    return f"{bias}, {fixed(scatter, LABELS[label][2])}"


def verdict_lines(metrics: Metrics) -> "Text":
    """The verdict and what does not pass, for the end of a run."""
    from rich.text import Text

    found = metrics["verdict"]
    text = Text("verdict   ").append(found["status"], style=f"bold {STYLES[found['status']]}")
    for check in broken(found):
        text.append(f"\n  {check['status']}  {check['survey']}: {in_words(check)}")
    return text


def _bold(text: str, best: bool) -> "Text":
    from rich.text import Text

    return Text(text, style="bold" if best else "")
