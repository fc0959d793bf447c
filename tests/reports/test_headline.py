import pytest

from synth2obs.reports.headline import headline, identifiability, warnings
from synth2obs.reports.tiles import tiles


@pytest.fixture
def row(metrics):
    return metrics["surveys"]["miles"]


def test_says_how_much_the_morph_gains(metrics):
    text = headline(metrics, "miles")
    assert "falls from 2.02 ± 0.05 % to 1.04 ± 0.05 % of the continuum with the morph, 49 % less" in text
    assert "beats every simpler correction by more than the error, the best of them by 0.27 ± 0.04 %" in text
    assert "+83 ± 29 → +9 ± 20 K in Teff" in text and "10 times less" in text
    assert "Noise alone would leave 0.60 %" in text


@pytest.mark.parametrize(
    ("morph", "first", "second"),
    [
        (
            0.0250,
            "rises from 2.02 ± 0.05 % to 2.50 ± 0.05 %",
            "residual linear in labels leaves 1.19 ± 0.04 % less",
        ),
        (0.0202, "nothing is gained", "does not beat"),
        (0.0131, "falls from", "it is level, within the error, with residual linear in labels"),
        (None, "was not measured", "cannot be said whether the morph helps"),
    ],
)
def test_admits_what_the_morph_does_not_do(metrics, row, morph, first, second):
    row["anchored_rms"]["morph"] = morph
    for method, own in row["versus"].items():
        own["anchored_rms"]["difference"] = None if morph is None else morph - row["anchored_rms"][method]
    text = headline(metrics, "miles")
    assert first in text and second in text


def test_says_when_baselines_are_missing(metrics, row):
    row["anchored_rms"] = {name: row["anchored_rms"][name] for name in ("theory", "morph")}
    assert "not compared with simpler corrections" in headline(metrics, "miles")


def test_labels_are_compared_with_theory_of_the_same_weights(metrics, row):
    weighted = {name: dict(own) for name, own in row["label_recovery"]["morph"].items()}
    row["label_recovery"]["theory_weighted"] = weighted
    row["versus"]["theory_weighted"] = {
        f"{name}_{kind}": {"difference": 0.0, "error": 1.0}
        for name in weighted
        for kind in ("bias", "scatter")
    }
    text = headline(metrics, "miles")
    assert "goes from theory with weighted pixels to morph as +9 ± 20 → +9 ± 20 K" in text
    assert "the weights'" in text
    row["versus"]["theory_weighted"]["teff_bias"] = {"difference": -30.0, "error": 7.0}
    assert "Beyond the errors the morph gains Teff" in headline(metrics, "miles")


def test_tiles_tell_better_from_worse(metrics, row):
    row["anchored_chi2"]["morph"] = 0.2
    row["anchored_chi2"]["theory"] = 1.5
    row["label_recovery"]["morph"]["logg"]["bias"] = -0.4
    row["label_recovery"]["morph"]["fe_h"] = None
    shown = tiles(metrics, "miles")
    assert shown[0].said == "better" and shown[0].after == "1.04 ± 0.05"
    assert [tile.better for tile in tiles(metrics, "miles")] == [True, False, True, False, None]


def test_warns_of_a_hidden_gap_and_of_a_gap_like_the_placebo(metrics, row):
    assert list(warnings(metrics, "miles")) == []
    row["label_recovery"]["morph"]["teff"]["bias"] = -170.0
    metrics["placebo"]["gap_rms"] = 0.004
    metrics["run"]["dirty"] = True
    hidden, placebo, dirty = warnings(metrics, "miles")
    assert "the bias of Teff grows" in hidden and "artefact" in placebo and "uncommitted" in dirty


def test_warns_when_only_free_labels_help(metrics, row):
    row["versus"]["theory"]["anchored_rms"] = {"difference": 0.01, "error": 0.001}
    assert any("labels moved to absorb the gap" in text for text in warnings(metrics, "miles"))


def test_anchors_change_what_is_identified(metrics, row):
    assert identifiability(metrics, "miles").startswith("No anchor stars were used")
    labels = {"teff": 85.0, "logg": 0.11, "fe_h": -0.12}
    row["anchors"] = {"stars": 7, "shift": labels, "shift_error": dict.fromkeys(labels, 0.03)}
    told = identifiability(metrics, "miles")
    assert told.startswith("7 anchor stars") and "+85" in told and "−0.12" in told


def test_placebo_is_said_where_it_matters(metrics, row):
    metrics["placebo"]["label_bias"] = {"teff": 12.0, "logg": 0.001, "fe_h": 0.0}
    metrics["placebo"]["label_bias_error"] = {"teff": 2.0, "logg": 0.01, "fe_h": 0.01}
    metrics["placebo"] |= {"morph_shift": 0.05, "morph_shift_error": 0.02}
    row["morph"] = {"latent_shift_rms": 0.06}
    shift, bias = warnings(metrics, "miles")
    assert "no more than it does on placebo" in shift and "0.050 ± 0.020" in shift
    assert "+12.0 ± 2.0 K in Teff" in bias and "log g" not in bias
    row["morph"] = {"latent_shift_rms": 0.2}
    assert len(list(warnings(metrics, "miles"))) == 1


def test_a_change_within_its_error_is_neither_better_nor_worse(metrics, row):
    row["versus"]["theory"]["anchored_rms"] = {"difference": -0.0003, "error": 0.0004}
    tile = tiles(metrics, "miles")[0]
    assert tile.better is None and tile.said == "no change beyond the error"
    assert "nothing is gained" in headline(metrics, "miles")
