"""The page that leads to those of all surveys of a run."""

from typing import Any

from synth2obs.reports.across import status_of, surveys_compared
from synth2obs.reports.content import PageSection, moment
from synth2obs.reports.headline import headline
from synth2obs.reports.results import Metrics, lookup
from synth2obs.reports.templating import page_style, template
from synth2obs.reports.tiles import tiles
from synth2obs.reports.without_labels import own_tiles, unlabelled

INDEX = "index"
"""Name of the page without its ending; a survey of that name takes it."""


def render_index(metrics: Metrics) -> str:
    """The page as text: the verdict, and of every survey a link, its verdict, its numbers and what they say.

    Args:
        metrics: Contents of ``metrics.json``.
    """
    compared = surveys_compared(metrics)
    run = lookup(metrics, "run") or {}
    text: str = template("index.html").render(
        status=lookup(metrics, "verdict", "status"),
        surveys=[_survey(metrics, name) for name in sorted(metrics["surveys"])],
        sections=[PageSection("surveys", "The surveys side by side", compared)] if compared else [],
        started=moment(run.get("started")),
        commit=run.get("git_commit"),
        style=page_style(),
    )
    return text


def _survey(metrics: Metrics, name: str) -> dict[str, Any]:
    row = metrics["surveys"][name]
    return {
        "name": name,
        "status": status_of(metrics, name),
        "tiles": own_tiles(row) if unlabelled(row) else tiles(metrics, name),
        "headline": headline(metrics, name),
    }
