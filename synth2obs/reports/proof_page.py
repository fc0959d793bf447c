"""One HTML page, self-contained, about all scenarios of a proof."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synth2obs.analysis.proof.measures import MEASURES
from synth2obs.core.files import write_atomic
from synth2obs.reports import proof_figures, tables
from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import Block, PageSection, Paragraph, Picture, moment
from synth2obs.reports.proof_tables import (
    between_table,
    instrument_table,
    meanings,
    slope_table,
    survey_tables,
)
from synth2obs.reports.results import read_npz
from synth2obs.reports.style import svg_uri
from synth2obs.reports.templating import page_style, template

PAGE = "proof.html"

LEAD = (
    "Stars of known labels and known physics were seen through a real instrument; each method learned from them "
    "without their labels, and was scored on stars of other spectra. A gap is closed if theory's residual goes away "
    "with labels held at the truth, and fitted labels stay right. It is hidden if the residual only goes away where "
    "labels are free."
)

WHAT = {
    "placebo": "Nature and theory have the same physics: what is found here is the method's own.",
    "missing_lines": "Theory lacks lines that nature has: the gap should be there, and as deep as they are.",
    "label_shift": "Placebos whose stars drift away from the grid's population: biases should not follow.",
    "other_physics": "Nature is a grid with another physics.",
    "instrument": "Placebos whose instrument is not what its files say.",
    "few_stars": "Lines that theory lacks, with few stars to learn them from; those that score are always the same.",
    "two_surveys": "The same stars through two instruments, each of which has half of the lines that theory lacks: "
    "each should get its own, and a star the same labels.",
}
"""What a scenario is for, by the name of its kind."""


def write_page(scores: Mapping[str, Any], folder: Path) -> Path:
    """Write the page of a proof beside its ``scores.json``; equal input gives equal bytes.

    Args:
        scores: Contents of ``scores.json``.
        folder: Where it stands, with a folder a survey.

    Raises:
        OutputError: If the file cannot be written.
        DataError: If a survey's arrays cannot be read.
    """
    out = folder / PAGE
    write_atomic(out, render(scores, folder).encode("utf-8"))
    return out


def render(scores: Mapping[str, Any], folder: Path) -> str:
    """The page as text."""
    sections = [
        PageSection(name, name.replace("_", " "), list(_section(name, surveys, scores, folder)))
        for name, surveys in scores["scenarios"].items()
    ]
    run = scores["run"]
    parts = (meanings(list(MEASURES)), tables.mapping_table(run.get("versions"), "package", "version"))
    config = json.dumps(scores["config"], indent=2, sort_keys=True, ensure_ascii=False)
    return str(
        template(PAGE).render(
            style=page_style(),
            sections=sections,
            lead=LEAD,
            started=moment(run.get("started")),
            run_tables=[part for part in parts if part is not None],
            config=config,
        )
    )


def _section(scenario: str, names: list[str], scores: Mapping[str, Any], folder: Path) -> Iterator[Block]:
    kind = scores["config"]["scenarios"][scenario]["name"]
    yield Paragraph(WHAT.get(kind, ""))
    if scenario in scores["slopes"]:
        yield from _drift(scenario, names, scores)
    if len({scores["surveys"][name]["facts"]["stars"] for name in names}) > 1:
        yield _counts(scenario, names, scores)
    if scenario in scores["same_stars"]:
        yield between_table(scores["same_stars"][scenario])
    for name in names:
        survey = scores["surveys"][name]
        arrays = read_npz(folder / survey["arrays"])
        yield Paragraph(f"{name}: {_facts(survey['facts'])} {_left(arrays)}")
        yield instrument_table(survey["instrument"])
        yield from survey_tables(survey["methods"])
        figure = proof_figures.gaps(arrays)
        if figure is not None:
            caption = "Mean over held-out stars, as pixels see it. Above: what theory lacks; below: found beyond that."
            yield Picture(svg_uri(figure, name), caption, "The gap that was found")


def _counts(scenario: str, names: list[str], scores: Mapping[str, Any]) -> Block:
    surveys = sorted((scores["surveys"][name] for name in names), key=lambda survey: survey["facts"]["stars"])
    figure = proof_figures.counts(
        [survey["facts"]["stars"] for survey in surveys], [survey["methods"] for survey in surveys]
    )
    caption = "Held-out stars, which are the same; bars are standard errors."
    return Picture(svg_uri(figure, scenario), caption, "Scores against the number of stars")


def _drift(scenario: str, names: list[str], scores: Mapping[str, Any]) -> Iterator[Block]:
    surveys = [scores["surveys"][name] for name in names]
    figure = proof_figures.drifts(
        [survey["facts"]["drift"] for survey in surveys], [survey["methods"] for survey in surveys]
    )
    yield slope_table(scores["slopes"][scenario])
    yield Picture(
        svg_uri(figure, scenario), "Held-out stars; bars are standard errors.", "Bias against drift"
    )


def _facts(facts: Mapping[str, Any]) -> str:
    text = (
        f"{facts['stars']} stars train ({facts['distinct']} different spectra), {facts['held']} score "
        f"({facts['held_distinct']} others); training took {facts['training_seconds']:.0f} s; width of lines "
        f"{facts['line_width']:.3f} of what is stated, in truth {facts['line_width_truth']:.3f}."
    )
    if facts["lines"]:
        text += f" Theory lacks {facts['lines_removed']} of {facts['lines']} lines."
    return text


def _left(arrays: Arrays) -> str:
    """How large the gap is that is to be explained."""
    if "theory_excess" not in arrays:
        return ""
    return (
        f"At the true labels plain theory leaves a χ² of {1.0 + float(arrays['theory_excess'].mean()):.2f} a pixel, "
        "where noise alone would leave 1."
    )
