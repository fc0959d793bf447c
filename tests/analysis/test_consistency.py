"""What spectra say without literature labels: χ², halves, repeats; and the verdict that follows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.analysis.evaluate import every_method, survey_metrics
from synth2obs.analysis.halves import halves, labels_by_halves
from synth2obs.analysis.repeats import pairs, repeats
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels
from synth2obs.reports.verdict import FAIL, PASS, WARN, broken, verdict
from synth2obs.training.evaluation_config import ThresholdsConfig

COUNT = 48


@pytest.fixture(scope="module")
def stars(bridge, labels_of, stars_of):
    """Stars of ``far`` of which nobody knows labels, seen twice each."""
    flux = bridge.predict(np.repeat(labels_of(COUNT, seed=61, share=0.5), 2, axis=0), "far")
    spectra = stars_of("far", flux, snr=100, seed=4)
    return replace(spectra, native={"object": np.array([f"object-{row // 2}" for row in range(2 * COUNT)])})


@pytest.fixture(scope="module")
def fit(bridge, stars):
    return fit_labels(bridge, prepare(bridge, "far", stars), Options())


@pytest.fixture(scope="module")
def metrics(bridge, stars):
    found, _ = survey_metrics(bridge, stars.take(np.arange(24)), "far")
    return {"surveys": {"far": found}}


class TestHalves:
    def test_errors_that_are_right_have_a_width_of_one(self, bridge, stars, fit):
        seen, rows = prepare(bridge, "far", stars), torch.arange(0, 2 * COUNT, 2)
        found = labels_by_halves(bridge, seen, fit, rows, morphed=True)
        assert found.keys() == {"teff", "logg", "fe_h"}
        for label in found.values():
            assert label["n"] == COUNT and label["quoted"] > 0
            assert abs(label["width"] - 1.0) < max(0.3, 2.0 * label["width_error"])

    def test_errors_that_are_too_small_show(self, bridge, stars, fit):
        bold = prepare(bridge, "far", replace(stars, ivar=9.0 * stars.ivar))
        found = labels_by_halves(bridge, bold, fit, torch.arange(0, 2 * COUNT, 2), morphed=True)
        assert np.mean([label["width"] for label in found.values()]) > 2.0

    def test_few_stars_say_nothing(self, bridge, stars, fit):
        seen = prepare(bridge, "far", stars)
        assert labels_by_halves(bridge, seen, fit, torch.arange(5), morphed=True) == {}

    def test_every_pixel_is_in_one_half(self):
        first = halves(torch.linspace(8.0, 9.0, 1201, dtype=torch.float64))
        assert 0.45 < float(first.double().mean()) < 0.55
        assert int((first[1:] != first[:-1]).sum()) == 12


class TestRepeats:
    def test_errors_that_are_right_have_a_width_of_one(self, bridge, stars, fit):
        found = repeats(bridge, stars.star, fit)
        assert all(label["n"] == COUNT for label in found.values())
        assert np.mean([label["width"] for label in found.values()]) == pytest.approx(1.0, abs=0.25)

    def test_stars_that_are_seen_once_say_nothing(self, bridge, stars, fit):
        assert repeats(bridge, stars.id, fit) == {}

    def test_no_spectrum_is_in_two_pairs(self):
        first, second = pairs(np.array(["b", "a", "b", "b", "c", "a", "b"]))
        assert len(first) == 3 and len({*first, *second}) == 6
        assert list(np.array(list("babbcab"))[first]) == ["a", "b", "b"]


class TestWithoutLabels:
    def test_there_is_a_verdict_and_it_says_what_was_not_checked(self, metrics):
        found = verdict(metrics, ThresholdsConfig())
        checks = {check["name"]: check for check in found["checks"]}
        assert {"free_chi2", "halves", "repeats", "chi2", "flagged", "unlabelled"} <= checks.keys()
        assert found["status"] in (WARN, FAIL) and checks["unlabelled"]["status"] == WARN
        assert "not checked: the residual" in checks["unlabelled"]["what"]
        assert not any("not measured" in check["meaning"] for check in broken(found))

    def test_a_morph_that_is_right_lowers_chi2(self, metrics):
        row = metrics["surveys"]["far"]
        assert row["free_chi2"]["morph"] < row["free_chi2"]["theory"]
        assert row["free_chi2_ratio"]["theory"]["value"] < 1.0

    def test_thresholds_may_let_it_pass(self, metrics):
        allow = ThresholdsConfig(unlabelled=(1.0, 1.0))
        checks = {check["name"]: check for check in verdict(metrics, allow)["checks"]}
        assert checks["unlabelled"]["status"] == PASS
        refuse = ThresholdsConfig(unlabelled=(0.0, 0.0))
        assert verdict(metrics, refuse)["status"] == FAIL


def test_all_methods_count_with_the_same_variance(bridge, stars):
    from synth2obs.analysis.free_chi2 import free_chi2
    from synth2obs.analysis.recovery import literature

    some = stars.take(np.arange(12))
    methods = {"theory": bridge, "theory_weighted": bridge, "morph": bridge}
    tested = every_method(bridge, methods, "far", some, literature(bridge, some))
    found, morph = free_chi2(tested), tested.trials["morph"].free
    assert found["free_chi2"]["morph"] == pytest.approx(float(np.median(morph.chi2_per_pixel)), rel=1e-3)
    assert found["free_chi2_ratio"].keys() == {"theory", "theory_weighted"}
