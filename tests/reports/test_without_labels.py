"""A survey whose stars have no literature labels: its verdict, its page and its terminal table say so in words."""

import pytest

from synth2obs.reports.console import baseline_table, verdict_lines
from synth2obs.reports.content import DASH
from synth2obs.reports.headline import headline
from synth2obs.reports.index_page import render_index
from synth2obs.reports.survey import render
from synth2obs.reports.verdict import FAIL, PASS, WARN, verdict
from synth2obs.reports.without_labels import own_tiles, unlabelled
from synth2obs.training.evaluation_config import ThresholdsConfig

LIMITS = ThresholdsConfig()


def widths(*values: float) -> dict[str, dict[str, float]]:
    names = ("teff", "logg", "fe_h")
    return {
        name: {"width": value, "width_error": 0.1, "quoted": 0.1, "real": 0.1, "n": 40}
        for name, value in zip(names, values, strict=True)
    }


@pytest.fixture
def row(metrics):
    """The first survey without any number that literature labels make."""
    metrics["surveys"] = {"miles": metrics["surveys"]["miles"]}
    row = metrics["surveys"]["miles"]
    methods = row["free_rms"]
    row |= {
        "n_anchored": 0,
        "anchored_rms": dict.fromkeys(methods),
        "anchored_chi2": dict.fromkeys(methods),
        "label_recovery": {},
        "versus": {},
        "free_rms_error": dict.fromkeys(methods, 0.0003),
        "free_chi2": {"theory": 3.5, "theory_weighted": 3.4, "morph": 1.2},
        "free_chi2_error": {"theory": 0.3, "theory_weighted": 0.3, "morph": 0.1},
        "free_chi2_ratio": {
            "theory": {"value": 0.45, "error": 0.03},
            "theory_weighted": {"value": 0.46, "error": 0.03},
        },
        "halves": {"theory_weighted": widths(1.4, 1.3, 1.2), "morph": widths(1.0, 1.1, 0.9)},
        "repeats": widths(0.7, 0.8, 0.9),
    }
    return row


def status(metrics, name, limits=LIMITS):
    found = verdict(metrics, limits)
    return next(check["status"] for check in found["checks"] if check["name"] == name)


def test_it_is_judged_and_does_not_pass(metrics, row):
    found = verdict(metrics, LIMITS)
    names = {check["name"] for check in found["checks"]}
    assert found["status"] == WARN
    assert names == {"placebo_gap", "chi2", "flagged", "free_chi2", "halves", "repeats", "unlabelled"}
    assert [check["name"] for check in found["checks"] if check["status"] != PASS] == ["unlabelled"]


def test_thresholds_may_let_it_pass_or_refuse_it(metrics, row):
    assert verdict(metrics, ThresholdsConfig(unlabelled=(1.0, 1.0)))["status"] == PASS
    assert verdict(metrics, ThresholdsConfig(unlabelled=(0.0, 0.0)))["status"] == FAIL


def test_a_survey_with_labels_is_judged_as_before(metrics):
    for row in metrics["surveys"].values():
        row["n_anchored"] = 31
        row["anchored_rms"] = {}
    found = verdict(metrics, ThresholdsConfig(unlabelled=(1.0, 1.0)))
    assert found["status"] == WARN and any("not measured" in check["meaning"] for check in found["checks"])
    assert status(metrics, "unlabelled") == PASS


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("free_chi2", lambda r: r["free_chi2_ratio"]["theory"].update(value=1.05, error=0.01), WARN),
        ("free_chi2", lambda r: r["free_chi2_ratio"]["theory"].update(value=1.3, error=0.01), FAIL),
        ("free_chi2", lambda r: r["free_chi2_ratio"]["theory"].update(value=1.3, error=0.4), PASS),
        ("halves", lambda r: r["halves"]["morph"]["logg"].update(width=1.6), WARN),
        ("halves", lambda r: r["halves"]["morph"]["fe_h"].update(width=0.5), WARN),
        ("halves", lambda r: r["halves"]["morph"]["fe_h"].update(width=3.0), FAIL),
        ("halves", lambda r: r["halves"]["theory_weighted"]["fe_h"].update(width=9.0), PASS),
        ("repeats", lambda r: r["repeats"]["teff"].update(width=2.0), WARN),
        ("repeats", lambda r: r["repeats"]["teff"].update(width=0.1), PASS),
    ],
)
def test_each_number_is_judged(metrics, row, name, change, expected):
    change(row)
    assert status(metrics, name) == expected


def test_words_say_what_was_not_checked(metrics, row):
    text = headline(metrics, "miles")
    assert (
        "None of the 40 test stars has literature labels" in text and "Not checked are the residual" in text
    )
    assert "falls: 3.50 ± 0.30 by theory, 1.20 ± 0.10 by the morph" in text
    assert "1.00 ± 0.10 (Teff)" in text and DASH not in text and "not measured" not in text
    lines = verdict_lines(metrics | {"verdict": verdict(metrics, LIMITS)}).plain
    assert (
        "WARN  miles: no test star has literature labels inside the grid; not checked: the residual" in lines
    )


def test_tiles_and_terminal_have_no_dashes(metrics, row):
    shown = own_tiles(row)
    assert len(shown) == 4 and not any(DASH in tile.before + tile.after for tile in shown)
    assert shown[0].better and shown[1].better
    table = baseline_table(metrics)
    cells = [str(text) for column in table.columns for text in column.cells]
    assert any("no labels" in text for text in cells) and "1.35±0.03" in cells


def test_the_page_shows_what_needs_no_labels(metrics, row, arrays):
    metrics["verdict"] = verdict(metrics, LIMITS)
    text = render(metrics, arrays, "miles").replace("\u00a0", " ")
    assert "Without literature labels" in text and "morph's over it" in text.replace("&#39;", "'")
    assert "0.45 ± 0.03" in text and "1.40 ± 0.10" in text and "0.70 ± 0.10" in text
    assert "none of them" in text and "not measured (the evaluation holds no numbers for it)" not in text
    assert "χ², labels fitted" in render_index(metrics)


def test_only_a_known_zero_counts(metrics):
    assert not unlabelled({}) and not unlabelled({"n_anchored": 3}) and unlabelled({"n_anchored": 0})
