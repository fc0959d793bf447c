"""The calibration report of one survey: an HTML page with its assets beside it, which needs no network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.files import write_atomic
from synth2obs.reports import headline, tables
from synth2obs.reports.assets import FOLDER, write_assets
from synth2obs.reports.checks import Arrays, check_arrays, check_metrics
from synth2obs.reports.content import moment
from synth2obs.reports.figures import figures
from synth2obs.reports.index_page import INDEX, render_index
from synth2obs.reports.latent_sections import latent_data
from synth2obs.reports.material import Material
from synth2obs.reports.results import lookup, read_arrays, read_metrics
from synth2obs.reports.sections import sections
from synth2obs.reports.spectrum_figures import WAVELENGTH
from synth2obs.reports.star_sections import star_data
from synth2obs.reports.style import COLOURS, svg_uri
from synth2obs.reports.templating import page_script, page_style, template
from synth2obs.reports.tiles import compared_with, tiles
from synth2obs.reports.verdict import broken
from synth2obs.reports.verdict_table import in_words
from synth2obs.reports.without_labels import COMPARED, own_tiles, unlabelled


def write_report(metrics: dict[str, Any], arrays: Arrays, survey: str, out: Path) -> Path:
    """Write the report of one survey, and what its interactive figures load; equal input gives equal bytes.

    Args:
        metrics: Contents of ``metrics.json``, see ``docs/report.md``.
        arrays: Contents of ``evaluation/<survey>.npz``; an empty mapping gives a report of numbers only.
        survey: Which of the surveys in ``metrics``.
        out: File to write; ``assets/`` beside it gets plotly's code and, in a folder of the page's name, spectra.

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
    return _write(metrics, arrays, survey, out, index=False)


def rebuild(folder: Path, out: Path | None = None) -> list[Path]:
    """Write the reports of all surveys of a finished run again, without training anything.

    Args:
        folder: A run's folder, with ``metrics.json`` and ``evaluation/<survey>.npz``. A survey without
            arrays gets a report of numbers only, which says so.
        out: Where the reports go; ``folder/report`` if None.

    Returns:
        The written pages, ``<survey>.html`` in alphabetical order, then ``index.html``; ``assets/`` is beside them.

    Raises:
        DataError: If a file is missing or malformed; nothing is written then.
        OutputError: If a report cannot be written.
    """
    metrics = read_metrics(folder / "metrics.json")
    stored = {survey: folder / "evaluation" / f"{survey}.npz" for survey in sorted(metrics["surveys"])}
    arrays = {survey: read_arrays(path) if path.exists() else {} for survey, path in stored.items()}
    target = folder / "report" if out is None else out
    index = INDEX not in stored
    pages = [_write(metrics, arrays[name], name, target / f"{name}.html", index=index) for name in stored]
    if index:
        pages.append(target / f"{INDEX}.html")
        write_atomic(pages[-1], render_index(metrics).encode("utf-8"))
    return pages


def _write(metrics: dict[str, Any], arrays: Arrays, survey: str, out: Path, *, index: bool) -> Path:
    """A page that is drawn before anything is written, and its assets before the page that needs them."""
    text = render(metrics, arrays, survey, page=out.stem, index=index)
    write_assets(arrays, out)
    write_atomic(out, text.encode("utf-8"))
    return out


def render(
    metrics: Mapping[str, Any], arrays: Arrays, survey: str, *, page: str = "", index: bool = False
) -> str:
    """The page as text.

    Args:
        metrics, arrays, survey: As for `write_report`.
        page: Its name without the ending, by which it finds its assets; the survey's if empty.
        index: Whether ``index.html`` is beside it.
    """
    run = lookup(metrics, "run") or {}
    pictures = {name: svg_uri(figure, name) for name, figure in figures(metrics, arrays, survey).items()}
    material = Material(metrics, metrics["surveys"][survey] or {}, arrays, pictures, survey, page or survey)
    text: str = template("report.html").render(
        survey=survey,
        row=material.row,
        has_arrays=bool(arrays),
        sections=sections(material),
        data=_data(material),
        style=page_style(),
        index=f"{INDEX}.html" if index else "",
        **page_script(),
        **_head(metrics, survey),
        **_run(run),
    )
    return text


def _data(material: Material) -> dict[str, Any]:
    """What the page's script draws and where it finds the rest."""
    return {
        "assets": FOLDER,
        "axes": {"wavelength": WAVELENGTH},
        "colours": {name: COLOURS[name] for name in ("observed", "theory", "morph", "ink")},
        "stars": star_data(material.arrays, material.page),
        "latents": latent_data(material.arrays),
    }


def _head(metrics: Mapping[str, Any], survey: str) -> dict[str, Any]:
    """What the page says first."""
    row = lookup(metrics, "surveys", survey)
    return {
        "tiles": own_tiles(row) if unlabelled(row) else tiles(metrics, survey),
        "compared_with": COMPARED if unlabelled(row) else compared_with(metrics, survey),
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


def _run_tables(run: Mapping[str, Any]) -> list[Any]:
    parts = [
        tables.run_table(run),
        tables.mapping_table(run.get("digests"), "data", "sha256"),
        tables.mapping_table(run.get("versions"), "package", "version"),
    ]
    return [part for part in parts if part is not None]
