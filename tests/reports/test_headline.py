import pytest

from synth2obs.reports.headline import headline, identifiability, tiles, warnings


@pytest.fixture
def row(metrics):
    return metrics["surveys"]["miles"]


def test_says_how_much_the_morph_gains(metrics):
    text = headline(metrics, "miles")
    assert "falls from 2.02 % to 1.04 % of the continuum with the morph, 49 % less" in text
    assert "beats a residual linear in labels" in text and "21 % below" in text
    assert "+83 → +9 K in Teff" in text and "10 times less" in text


@pytest.mark.parametrize(
    ("morph", "first", "second"),
    [
        (0.0250, "rises from 2.02 % to 2.50 %", "does not beat"),
        (0.0202, "nothing is gained", "does not beat"),
        (0.0131, "falls from", "so does not beat it"),
        (None, "was not measured", "cannot be said whether the morph helps"),
    ],
)
def test_admits_what_the_morph_does_not_do(metrics, row, morph, first, second):
    row["anchored_rms"]["morph"] = morph
    text = headline(metrics, "miles")
    assert first in text and second in text


def test_says_when_the_baseline_is_missing(metrics, row):
    row["anchored_rms"]["linear_residual"] = None
    assert "not compared with a residual linear in labels" in headline(metrics, "miles")


def test_tiles_tell_better_from_worse(metrics, row):
    row["anchored_chi2"]["morph"] = 0.2
    row["anchored_chi2"]["theory"] = 1.5
    row["label_recovery"]["morph"]["logg"]["bias"] = -0.4
    row["label_recovery"]["morph"]["fe_h"] = None
    assert [tile.better for tile in tiles(metrics, "miles")] == [True, False, True, False, None]


def test_warns_of_a_hidden_gap_and_of_a_gap_like_the_placebo(metrics, row):
    assert list(warnings(metrics, "miles")) == []
    row["label_recovery"]["morph"]["teff"]["bias"] = -170.0
    metrics["placebo"]["gap_rms"] = 0.004
    metrics["run"]["dirty"] = True
    hidden, placebo, dirty = warnings(metrics, "miles")
    assert "the bias of Teff grows" in hidden and "artefact" in placebo and "uncommitted" in dirty


def test_warns_when_only_free_labels_help(metrics, row):
    row["anchored_rms"]["morph"] = 0.03
    assert any("labels moved to absorb the gap" in text for text in warnings(metrics, "miles"))


def test_anchors_change_what_is_identified(metrics, row):
    assert identifiability(metrics, "miles").startswith("No anchor stars were used")
    labels = {"teff": 85.0, "logg": 0.11, "fe_h": -0.12}
    row["anchors"] = {"stars": 7, "shift": labels, "shift_error": dict.fromkeys(labels, 0.03)}
    told = identifiability(metrics, "miles")
    assert told.startswith("7 anchor stars") and "+85" in told and "−0.12" in told
