"""The page of a bench: tables with errors, the best of a column, and nothing from elsewhere."""

import re

import numpy as np
import pytest

from synth2obs.analysis.proof.measures import MEASURES
from synth2obs.reports import proof_figures
from synth2obs.reports.proof_page import write_page
from synth2obs.reports.proof_tables import between_table, slope_table, survey_tables, text_of


def scored(value, error):
    return {"value": value, "error": error}


ROWS = {
    "theory": {
        "gap_explained": scored(0.0, 0.0),
        "teff_bias": scored(-12.4, 3.2),
        "seconds": scored(2.0, None),
    },
    "morph": {
        "gap_explained": scored(0.966, 0.004),
        "teff_bias": scored(14.0, 3.0),
        "false_lines": scored(2.0, 0.8),
        "auprc_lines": scored(0.988, 0.008),
        "seconds": scored(5.0, None),
    },
}
INSTRUMENT = {"width_ratio": scored(1.002, 0.004), "distortion_error": scored(0.31, 0.25)}
FACTS = {
    "stars": 10,
    "held": 4,
    "distinct": 9,
    "held_distinct": 3,
    "drift": 0.0,
    "lines": 5,
    "lines_removed": 2,
    "training_seconds": 3.0,
    "line_width": 1.01,
    "line_width_truth": 1.0,
}


@pytest.fixture
def scores():
    return {
        "scenarios": {"lines": ["lines"], "label_shift": ["label_shift-0", "label_shift-1"]},
        "config": {"scenarios": {"lines": {"name": "missing_lines"}, "label_shift": {"name": "label_shift"}}},
        "same_stars": {},
        "surveys": {
            "lines": {
                "arrays": "lines/arrays.npz",
                "facts": FACTS,
                "instrument": INSTRUMENT,
                "methods": ROWS,
            },
            "label_shift-0": {
                "arrays": "label_shift-0/arrays.npz",
                "facts": FACTS,
                "instrument": INSTRUMENT,
                "methods": ROWS,
            },
            "label_shift-1": {
                "arrays": "label_shift-1/arrays.npz",
                "facts": {**FACTS, "drift": 1.0},
                "instrument": INSTRUMENT,
                "methods": ROWS,
            },
        },
        "slopes": {
            "label_shift": {
                "morph": {f"{label}_slope": scored(0.5, 0.1) for label in ("teff", "logg", "fe_h")}
            }
        },
        "run": {"versions": {"numpy": "2"}, "started": "2026-01-01T00:00:00+00:00"},
    }


@pytest.fixture
def folder(scores, tmp_path):
    wavelength = np.linspace(5000, 5100, 40)
    for name in scores["surveys"]:
        (tmp_path / name).mkdir()
        arrays = {"wavelength": wavelength, "morph_gap": np.zeros(40)} if name == "lines" else {}
        arrays |= {"theory_excess": np.array([0.5, 1.0])}
        arrays |= {"true_gap_wavelength": wavelength, "true_gap": np.zeros(40)}
        np.savez(tmp_path / name / "arrays.npz", **arrays)
    return tmp_path


def test_the_page_stands_alone_and_is_the_same_twice(scores, folder):
    text = write_page(scores, folder).read_text(encoding="utf-8")
    body = text.split("</style>")[1]
    assert "http" not in re.sub('"data:[^"]*"', "", body) and "<script" not in text
    body = body.replace("\u00a0", " ")
    assert "96.6 ± 0.4" in body and "−12 ± 3" in body and "10 stars train (9 different spectra)" in body
    assert body.count("<img") == 2 and "leaves a χ² of 1.75 a pixel" in body
    assert "1.002 ± 0.004" in body and "0.31 ± 0.25" in body
    assert write_page(scores, folder).read_text(encoding="utf-8") == text


def test_the_best_is_nearest_to_the_ideal():
    first, *_ = survey_tables(ROWS)
    row = {cells[0].text: cells[1:] for cells in first.rows}
    assert [cell.best for cell in row["morph"]] == [True, False]
    assert [cell.best for cell in row["theory"]] == [False, True]


def test_what_was_not_measured_is_a_dash_with_a_reason():
    *_, lines = survey_tables(ROWS)
    theory = next(cells for cells in lines.rows if cells[0].text == "theory")
    assert all(cell.text == "—" and cell.hint for cell in theory[1:])


def test_only_biases_show_their_sign():
    assert text_of(ROWS["morph"], "teff_bias", MEASURES["teff_bias"]) == "+14 ± 3"
    assert text_of(ROWS["morph"], "false_lines", MEASURES["false_lines"]) == "2.0 ± 0.8"
    assert text_of(ROWS["morph"], "seconds", MEASURES["seconds"]) == "5"


def test_scores_against_the_number_of_stars(scores, folder):
    few = {**scores["surveys"]["lines"], "facts": {**FACTS, "stars": 30}}
    scores["surveys"] |= {"few-10": scores["surveys"]["lines"], "few-30": few}
    scores["scenarios"] = {"few": ["few-30", "few-10"]}
    scores["config"]["scenarios"]["few"] = {"name": "few_stars"}
    body = write_page(scores, folder).read_text(encoding="utf-8").split("</style>")[1]
    assert "Scores against the number of stars" in body and "few_stars" in body
    figure = proof_figures.counts([10, 30], [ROWS, ROWS])
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert [line.get_xdata().tolist() for line in panels["gap explained (%)"].lines[:1]] == [[10, 30]]
    assert {text.get_text() for text in figure.legends[0].texts} == {"theory", "morph"}


def test_labels_of_the_same_stars(scores, folder):
    keys = (f"{label}_between_{what}" for label in ("teff", "logg", "fe_h") for what in ("bias", "scatter"))
    rows = {"morph": {key: scored(5.0, 1.0) for key in keys}}
    (row,) = between_table(rows).rows
    assert [cell.text for cell in row[:4]] == ["morph", "+5 ± 1", "5 ± 1", "+5.000 ± 1.000"]
    scores["same_stars"] = {"lines": rows}
    assert "second − first" in write_page(scores, folder).read_text(encoding="utf-8")


def test_slopes(scores):
    (row,) = slope_table(scores["slopes"]["label_shift"]).rows
    assert [cell.text for cell in row] == ["morph", "+0.5 ± 0.1", "+0.500 ± 0.100", "+0.500 ± 0.100"]
