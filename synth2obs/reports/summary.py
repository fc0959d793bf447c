"""A run in a few lines of Markdown: its description in the MLflow UI."""

from synth2obs.reports.headline import headline
from synth2obs.reports.results import Metrics
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
