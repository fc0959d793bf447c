"""A verdict says what the thresholds of the settings ask, and forgives one error."""

import pytest
from pydantic import ValidationError

from synth2obs.reports.console import verdict_lines
from synth2obs.reports.summary import summary
from synth2obs.reports.verdict import FAIL, NUMBERS, PASS, WARN, broken, verdict
from synth2obs.reports.verdict_table import in_words, verdict_table
from synth2obs.training.evaluation_config import ThresholdsConfig

LIMITS = ThresholdsConfig()


@pytest.fixture
def row(metrics):
    metrics["surveys"] = {"miles": metrics["surveys"]["miles"]}
    return metrics["surveys"]["miles"]


def status(metrics, name, limits=LIMITS):
    found = verdict(metrics, limits)
    return next(check["status"] for check in found["checks"] if check["name"] == name)


def test_every_threshold_has_a_number():
    assert set(NUMBERS) == set(ThresholdsConfig.model_fields)


def test_good_numbers_pass(metrics, row):
    found = verdict(metrics, LIMITS)
    assert found["status"] == PASS == found["surveys"]["miles"] and broken(found) == []


def test_a_morph_worse_than_theory_fails(metrics, row):
    row["anchored_rms"]["morph"] = 0.0460
    found = verdict(metrics, LIMITS)
    assert found["status"] == FAIL and broken(found)[0]["name"] in ("residual", "baseline")
    assert status(metrics, "residual") == FAIL
    text = verdict_lines(metrics | {"verdict": found}).plain
    assert text.startswith("verdict   FAIL") and "morph's anchored rms over theory's" in text


@pytest.mark.parametrize(
    ("error", "expected"), [(0.0, FAIL), (0.0015, WARN), (0.01, PASS)], ids=["none", "some", "large"]
)
def test_one_error_is_forgiven(metrics, row, error, expected):
    row["anchored_rms"]["morph"] = 1.05 * row["anchored_rms"]["theory"]
    row["versus"]["theory"]["anchored_rms"]["error"] = error
    assert status(metrics, "residual") == expected


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        ("teff_bias", lambda m, r: r["label_recovery"]["morph"]["teff"].update(bias=-150.0), WARN),
        ("fe_h_bias", lambda m, r: r["label_recovery"]["morph"]["fe_h"].update(bias=0.9), FAIL),
        ("placebo_gap", lambda m, r: m["placebo"].update(gap_rms=r["gap"]["rms"]), FAIL),
        ("chi2", lambda m, r: r.update(noise={"chi2_per_pixel": 0.4}), WARN),
        ("flagged", lambda m, r: r.update(flagged={"share": 0.9, "stars": {}}), FAIL),
        (
            "pull_width",
            lambda m, r: r.update(pulls={"morph": {"logg": {"width": 3.0, "width_error": 0.1}}}),
            WARN,
        ),
        (
            "bias_growth",
            lambda m, r: r["versus"].update(
                theory_weighted={"teff_bias": {"difference": 60.0, "error": 2.0}}
            ),
            FAIL,
        ),
        (
            "scatter_growth",
            lambda m, r: (
                r["label_recovery"].update(theory_weighted={"logg": {"scatter": 0.2}}),
                r["versus"].update(theory_weighted={"logg_scatter": {"difference": 0.06, "error": 0.01}}),
            ),
            WARN,
        ),
    ],
)
def test_each_number_is_judged(metrics, row, name, change, expected):
    change(metrics, row)
    assert status(metrics, name) == expected


def test_settings_decide(metrics, row):
    strict = ThresholdsConfig(residual=(0.1, 0.2))
    assert status(metrics, "residual", strict) == FAIL
    with pytest.raises(ValidationError, match="must not be smaller"):
        ThresholdsConfig(residual=(2.0, 1.0))


def test_what_cannot_be_judged_warns(metrics, row):
    row["anchored_rms"] = {}
    found = verdict(metrics, LIMITS)
    assert found["status"] == WARN and "not measured" in broken(found, "miles")[0]["meaning"]


def test_it_is_said_in_words_and_as_a_table(metrics, row):
    row["anchored_rms"]["morph"] = 0.0460
    found = verdict(metrics, LIMITS)
    table = verdict_table(found, "miles")
    assert any("fails" in line[-1].text for line in table.rows)
    assert all(len(line) == len(table.columns) for line in table.rows)
    text = summary(metrics | {"verdict": found})
    assert text.startswith("**Verdict: FAIL**") and "reports/miles.html" in text
    assert "limits 0.95 and 1" in in_words(broken(found)[-1]) or "limits 1.05 and 1.2" in in_words(
        broken(found)[-1]
    )
