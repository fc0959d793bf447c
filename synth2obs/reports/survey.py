"""The calibration report of one survey: a single HTML file that needs no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.files import write_atomic
from synth2obs.reports import headline, tables
from synth2obs.reports.checks import Arrays, check_arrays, check_metrics
from synth2obs.reports.content import moment, tidy
from synth2obs.reports.figures import figures
from synth2obs.reports.interactive import interactive_spectra
from synth2obs.reports.results import lookup, read_arrays, read_metrics
from synth2obs.reports.sections import Material, sections
from synth2obs.reports.style import svg_uri
from synth2obs.reports.tiles import compared_with, tiles
from synth2obs.reports.verdict import broken
from synth2obs.reports.verdict_table import in_words

TEMPLATES = Path(__file__).parent / "templates"


def write_report(metrics: dict[str, Any], arrays: Arrays, survey: str, out: Path) -> Path:
    """Write the report of one survey; equal input gives equal bytes.

    Args:
        metrics: Contents of ``metrics.json``, see ``docs/report.md``.
        arrays: Contents of ``evaluation/<survey>.npz``; an empty mapping gives a report of numbers only.
        survey: Which of the surveys in ``metrics``.
        out: File to write.

    Returns:
        ``out``.

    Raises:
        DataError: If the metrics or the arrays are malformed, or do not know the survey.
        OutputError: If the file cannot be written; the old one is left as it was.
    """
    check_metrics(metrics)
    check_arrays(arrays)
    if survey not in metrics["surveys"]:
        known = ", ".join(sorted(metrics["surveys"])) or "none"
        raise DataError(
            f"no survey {survey!r} in the metrics", field="surveys", remedy=f"choose one of: {known}"
        )
    write_atomic(out, render(metrics, arrays, survey).encode("utf-8"))
    return out


def rebuild(folder: Path, out: Path | None = None) -> list[Path]:
    """Write the reports of all surveys of a finished run again, without training anything.

    Args:
        folder: A run's folder, with ``metrics.json`` and ``evaluation/<survey>.npz``. A survey without
            arrays gets a report of numbers only, which says so.
        out: Where the reports go; ``folder/report`` if None.

    Returns:
        The written files, ``<survey>.html``, in alphabetical order.

    Raises:
        DataError: If a file is missing or malformed; nothing is written then.
        OutputError: If a report cannot be written.
    """
    metrics = read_metrics(folder / "metrics.json")
    stored = {survey: folder / "evaluation" / f"{survey}.npz" for survey in sorted(metrics["surveys"])}
    arrays = {survey: read_arrays(path) if path.exists() else {} for survey, path in stored.items()}
    target = folder / "report" if out is None else out
    return [write_report(metrics, arrays[survey], survey, target / f"{survey}.html") for survey in stored]


def render(metrics: Mapping[str, Any], arrays: Arrays, survey: str) -> str:
    """The page as text."""
    run = lookup(metrics, "run") or {}
    pictures = {name: svg_uri(figure, name) for name, figure in figures(metrics, arrays, survey).items()}
    material = Material(metrics, metrics["surveys"][survey] or {}, arrays, pictures, survey)
    return template("report.html").render(
        survey=survey,
        row=material.row,
        has_arrays=bool(arrays),
        sections=sections(material),
        **_head(metrics, survey),
        **_run(run),
        **_embedded(arrays),
    )


def template(name: str) -> Any:
    """One of the pages' templates: escaping, and with every name that it needs or none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tidy"] = tidy
    return environment.get_template(name)


def _head(metrics: Mapping[str, Any], survey: str) -> dict[str, Any]:
    """What the page says first."""
    return {
        "tiles": tiles(metrics, survey),
        "compared_with": compared_with(metrics, survey),
        "verdict": lookup(metrics, "verdict", "surveys", survey),
        "broken": [(c["status"], in_words(c)) for c in broken(lookup(metrics, "verdict"), survey)],
        "headline": headline.headline(metrics, survey),
        "identifiability": headline.identifiability(metrics, survey),
        "warnings": list(headline.warnings(metrics, survey)),
    }


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    """From which run the numbers are."""
    config = json.dumps(run.get("config"), indent=2, sort_keys=True, ensure_ascii=False)
    return {
        "started": moment(run.get("started")),
        "about": run.get("about"),
        "run_tables": _run_tables(run),
        "config": config,
    }


def _embedded(arrays: Arrays) -> dict[str, Any]:
    """Our own script and style, which the template must not escape."""
    from markupsafe import Markup

    return {"interactive": Markup(interactive_spectra(arrays)), "style": page_style()}


def page_style() -> Any:
    """Our own style sheet, which a template must not escape."""
    from markupsafe import Markup

    return Markup((TEMPLATES / "style.css").read_text(encoding="utf-8"))


def _run_tables(run: Mapping[str, Any]) -> list[Any]:
    parts = [
        tables.run_table(run),
        tables.mapping_table(run.get("digests"), "data", "sha256"),
        tables.mapping_table(run.get("versions"), "package", "version"),
    ]
    return [part for part in parts if part is not None]
