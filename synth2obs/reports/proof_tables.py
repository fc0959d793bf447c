"""The tables of a proof: methods as rows, scores as columns, every score with its error."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth2obs.analysis.proof.measures import MEASURES, Measure
from synth2obs.reports.content import DASH, Cell, PageTable, cell, with_error
from synth2obs.reports.results import LABELS, METHODS, measured
from synth2obs.reports.style import COLOURS

TITLES = {
    **METHODS,
    "alignment": "morph, with an alignment",
    "all_features": "morph, gap quadratic in labels",
    "no_population": "morph, no prior of stars",
    "no_weights": "morph, no weights",
    "pretrained": "network taught on theory",
    "cycle": "translation with cycles",
}
"""What a reader sees for a method."""

SIGNED = ("_bias", "_slope")
"""Ends of the keys of scores whose sign says something."""

GROUPS: dict[str, tuple[str, ...]] = {
    "The gap with labels held at the truth, and labels that were fitted": (
        "gap_explained",
        *(f"{label}_{what}" for label in LABELS for what in ("bias", "scatter")),
    ),
    "Spectra that labels did not see, that a classifier looks at, and that came back": (
        "held_wavelengths",
        "c2st",
        "cycle_error",
    ),
    "Error bars, and time": (*(f"{label}_pull" for label in LABELS), "seconds"),
    "Lines of the gap": (
        "auprc_cells",
        "auprc_lines",
        "depth_ratio",
        "depth_ratio_whole",
        "gap_pull",
        "lines_found",
        "false_lines",
        "lines_elsewhere",
        "depth_elsewhere",
    ),
    "Elements of the missing lines that were found": (
        "element_top1",
        "element_top1_deep",
        "element_top3",
        "element_stated",
        "element_brier",
    ),
}
"""Columns of the tables of a survey."""

INSTRUMENT: dict[str, tuple[str, int, str]] = {
    "width_ratio": ("width of lines, found over true", 3, "1"),
    "noise_ratio": ("noise, found over true", 3, "1"),
    "distortion_true": ("wavelength distortion that there is, rms (km/s)", 2, ""),
    "distortion_found": ("wavelength distortion found, rms (km/s)", 2, "as there is"),
    "distortion_error": ("found minus true, rms (km/s)", 2, "0 within the error that it says it has"),
}
"""Rows of the table of a survey's instrument: title, decimals, ideal."""

Rows = Mapping[str, Mapping[str, Any]]


def survey_tables(rows: Rows) -> Iterator[PageTable]:
    """Scores of every method on one survey; the best of a column is bold."""
    for caption, keys in GROUPS.items():
        used = [key for key in keys if any(measured(row, key, "value") is not None for row in rows.values())]
        if used:
            yield _table(rows, used, {key: MEASURES[key] for key in used}, caption)


def instrument_table(row: Mapping[str, Any]) -> PageTable:
    """What is wrong with a survey's instrument, and what was found of it; a constant velocity is left out."""
    rows = []
    for key, (title, digits, ideal) in INSTRUMENT.items():
        text = with_error(measured(row, key, "value"), measured(row, key, "error"), digits)
        rows.append([Cell(title), cell(text), Cell(ideal)])
    return PageTable(["instrument", "", "ideal"], rows)


def slope_table(rows: Rows) -> PageTable:
    """Slopes of label biases against drift."""
    keys = [f"{label}_slope" for label in LABELS]
    measures = {
        f"{label}_slope": Measure(f"{title} bias per σ of drift", unit, digits + 1, 0.0, "")
        for label, (title, unit, digits) in LABELS.items()
    }
    return _table(
        rows,
        keys,
        measures,
        "Slope of the bias against the drift; 0: it does not follow the population",
    )


def between_table(rows: Rows) -> PageTable:
    """Labels of the same stars, the second survey's minus the first's."""
    measures: dict[str, Measure] = {}
    for label, (title, unit, digits) in LABELS.items():
        more = digits + (unit == "dex")
        measures[f"{label}_between_bias"] = Measure(f"{title}, second − first", unit, more, 0.0, "")
        measures[f"{label}_between_scatter"] = Measure("scatter", unit, more, 0.0, "")
    return _table(rows, list(measures), measures, "Labels of the same held-out stars in both surveys")


def meanings(keys: Sequence[str]) -> PageTable:
    """What the columns mean."""
    rows = [[Cell(MEASURES[key].title), Cell(MEASURES[key].meaning)] for key in keys]
    return PageTable(["score", "meaning"], rows)


def text_of(row: Mapping[str, Any], key: str, measure: Measure) -> str:
    """A score with its error, in the measure's unit."""
    scale = 100.0 if measure.unit == "%" else 1.0
    value, error = (measured(row, key, part) for part in ("value", "error"))
    if value is None:
        return DASH
    return with_error(
        scale * value, None if error is None else scale * error, measure.digits, sign=key.endswith(SIGNED)
    )


def _table(rows: Rows, keys: Sequence[str], measures: Mapping[str, Measure], caption: str) -> PageTable:
    best = {key: _best(rows, key, measures[key].ideal) for key in keys}
    columns = ["method", *(_heading(measures[key]) for key in keys)]
    body = [
        [
            Cell(TITLES.get(method, method), colour=COLOURS.get(method, COLOURS["quiet"])),
            *(cell(text_of(row, key, measures[key]), best=method in best[key]) for key in keys),
        ]
        for method, row in rows.items()
    ]
    return PageTable(columns, body, f"{caption}. ± is the standard error.")


def _heading(measure: Measure) -> str:
    return f"{measure.title} ({measure.unit})" if measure.unit else measure.title


def _best(rows: Rows, key: str, ideal: float | None) -> set[str]:
    """The methods that come nearest to the ideal, and no further from it than all others."""
    if ideal is None:
        return set()
    distance = {
        method: abs(value - ideal)
        for method, row in rows.items()
        if (value := measured(row, key, "value")) is not None
    }
    low = min(distance.values(), default=0.0)
    return {method for method, far in distance.items() if far == low} if len(distance) > 1 else set()
