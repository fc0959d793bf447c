"""Errors of medians, scatters and differences are what drawing stars anew says, and pulls are what they should be."""

import numpy as np
import pytest
import torch

from synth2obs.analysis.baselines import MORPH, THEORY
from synth2obs.analysis.bootstrap import bootstrap
from synth2obs.analysis.compared import compared, recovery
from synth2obs.analysis.evaluate import every_method
from synth2obs.analysis.noise_floor import noise_floor
from synth2obs.analysis.pulls import judged, pulls
from synth2obs.analysis.recovery import Literature, literature

STARS = 400


def known(seed=0, errors=(60.0, 0.13, 0.05)):
    table = np.random.default_rng(seed).normal([5000.0, 3.0, 0.0], [500.0, 1.0, 0.4], (STARS, 3))
    return Literature(table, np.ones(STARS, bool), np.broadcast_to(errors, (STARS, 3)))


def fitted(book, sigma, seed=1):
    return book.table + np.random.default_rng(seed).normal(0.0, sigma, (STARS, 3))


def test_the_error_of_a_mean_is_known():
    values = np.random.default_rng(3).normal(0.0, 2.0, 900)
    score = bootstrap(lambda rows: float(values[rows].mean()), np.arange(900), 400)
    assert score.error == pytest.approx(2.0 / 30.0, rel=0.15)
    grouped = bootstrap(lambda rows: float(values[rows].mean()), np.repeat(np.arange(450), 2), 400)
    assert grouped.error == pytest.approx(score.error, rel=0.2)


def test_bias_and_scatter_have_errors_that_hold():
    book, sigma = known(), np.array([100.0, 0.2, 0.1])
    found = recovery(fitted(book, sigma), book)
    for name, width in zip(("teff", "logg", "fe_h"), sigma, strict=True):
        own = found[name]
        assert own["bias_error"] == pytest.approx(1.25 * width / STARS**0.5, rel=0.45)
        assert abs(own["bias"]) < 4 * own["bias_error"]
        assert abs(own["scatter"] - width) < 4 * own["scatter_error"]


def test_right_errors_give_a_width_of_one_and_true_coverage():
    book, quoted = known(), np.array([80.0, 0.1, 0.06])
    total = np.hypot(quoted, [60.0, 0.13, 0.05])
    found = judged(fitted(book, total), np.broadcast_to(quoted, (STARS, 3)), book)
    for name, error in zip(("teff", "logg", "fe_h"), quoted, strict=True):
        own = found[name]
        assert abs(own["width"] - 1.0) < 4 * own["width_error"]
        assert abs(own["within_1"] - 0.683) < 4 * own["within_1_error"]
        assert own["quoted"] == pytest.approx(error) and own["real"] == pytest.approx(error, rel=0.35)


def test_errors_that_are_too_small_are_seen():
    book, quoted = known(errors=(1.0, 1e-3, 1e-3)), np.array([20.0, 0.05, 0.02])
    own = judged(fitted(book, 3 * quoted), np.broadcast_to(quoted, (STARS, 3)), book)["teff"]
    assert own["width"] == pytest.approx(3.0, rel=0.2) and own["within_1"] < 0.35
    assert own["real"] == pytest.approx(60.0, rel=0.2)


def test_nothing_is_judged_without_literature():
    book = known()
    empty = Literature(book.table, np.zeros(STARS, bool), book.errors)
    assert judged(book.table, book.errors, empty) == {} == recovery(book.table, empty)


@pytest.fixture(scope="module")
def tested(bridge, labels_of, stars_of):
    truth = labels_of(14, seed=8, share=0.5)
    spectra = stars_of("far", bridge.predict(truth, "far"), snr=200)
    spectra.labels.update(dict(zip(("teff", "logg", "fe_h"), truth.T[:3].copy(), strict=True)))
    with torch.no_grad():
        bridges = dict.fromkeys((THEORY, "theory_weighted", MORPH), bridge)
        return every_method(bridge, bridges, "far", spectra, literature(bridge, spectra))


def test_the_morph_is_compared_with_the_same_stars(tested):
    found = compared(tested)
    change = found["versus"][THEORY]["anchored_rms"]
    expected = found["anchored_rms"][MORPH] - found["anchored_rms"][THEORY]
    assert change["difference"] == pytest.approx(expected) and change["error"] > 0
    alone = np.hypot(found["anchored_rms_error"][MORPH], found["anchored_rms_error"][THEORY])
    assert change["error"] < 1.5 * alone
    assert set(found["versus"]) == {THEORY, "theory_weighted"}
    same = found["versus"]["theory_weighted"]["anchored_rms"]
    assert set(found["versus"][THEORY]) >= {"teff_bias", "logg_scatter", "free_rms"} and np.isfinite(
        same["error"]
    )


def test_noise_alone_leaves_what_the_errors_say(tested):
    floor = noise_floor(*tested.held(MORPH), factor=2.0)
    assert floor["quoted"] == pytest.approx(1 / 200, rel=0.3)
    assert floor["fitted"] == pytest.approx(2 * floor["quoted"])
    assert set(pulls(tested)) == {"theory_weighted", MORPH}
