"""A run in a few lines of Markdown: its description in the MLflow UI."""

from collections.abc import Iterator

from synth2obs.reports.headline import headline
from synth2obs.reports.results import LABELS, Metrics, measured
from synth2obs.reports.verdict import broken
from synth2obs.reports.verdict_table import in_words


def summary(metrics: Metrics) -> str:
    """Verdict, what does not pass, a paragraph per survey, and where the reports are.

    Args:
        metrics: Contents of ``metrics.json``, the verdict included.
    """
    found = metrics["verdict"]
    lines = [f"**Verdict: {found['status']}**", ""]
    lines += [f"- {check['status']}, {check['survey']}: {in_words(check)}" for check in broken(found)]
    for survey in metrics["surveys"]:
        lines += ["", f"**{survey}** ({found['surveys'][survey]}). {headline(metrics, survey)}"]
    pages = ", ".join(f"`reports/{survey}.html`" for survey in metrics["surveys"])
    return "\n".join([*lines, "", f"Calibration reports: {pages}, under Artifacts."])


def ranking_numbers(metrics: Metrics) -> dict[str, float]:
    """Numbers by which runs are ranked, ``<survey>/<name>``.

    The morph's residual, alone and over theory's; biases and scatters of labels; the placebo's gap over the survey's.
    """
    return {
        f"{survey}/{name}": value for survey in metrics["surveys"] for name, value in _of(metrics, survey)
    }


def _of(metrics: Metrics, survey: str) -> Iterator[tuple[str, float]]:
    row = metrics["surveys"][survey]
    rms, theory = (measured(row, "anchored_rms", method) for method in ("morph", "theory"))
    if rms is not None and theory:
        yield "rms", rms
        yield "rms_over_theory", rms / theory
    for label in LABELS:
        for kind in ("bias", "scatter"):
            value = measured(row, "label_recovery", "morph", label, kind)
            if value is not None:
                yield f"{label}_{kind}", value
    gap, placebo = measured(row, "gap", "rms"), measured(metrics, "placebo", "gap_rms")
    if gap and placebo is not None:
        yield "placebo_over_gap", placebo / gap
