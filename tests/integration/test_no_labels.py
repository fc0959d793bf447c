"""STELIB without the literature's labels, through a trained bridge: a verdict, and a page that shows why."""

from dataclasses import replace

import numpy as np

from synth2obs.analysis.evaluate import survey_metrics
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bundle import load_bundle
from synth2obs.reports.survey import write_report
from synth2obs.reports.verdict import FAIL, WARN, verdict
from synth2obs.training.evaluation_config import ThresholdsConfig


def test_stelib_without_labels(trained, tmp_path):
    bridge = load_bundle(trained.folder / "bridge")
    spectra = read_shard(resolve("embedded:stelib")).take(np.arange(24))
    metrics, arrays = survey_metrics(bridge, replace(spectra, labels={}, label_errors={}), "stelib")
    whole = {"format": "synth2obs-metrics/1", "surveys": {"stelib": metrics}, "run": {}}
    found = verdict(whole, ThresholdsConfig())
    checks = {check["name"]: check for check in found["checks"]}
    assert metrics["n_anchored"] == 0 and found["status"] in (WARN, FAIL)
    assert {"free_chi2", "chi2", "flagged", "unlabelled"} <= checks.keys()
    assert not {"residual", "baseline", "teff_bias"} & checks.keys()
    page = write_report(whole | {"verdict": found}, arrays, "stelib", tmp_path / "stelib.html")
    text = page.read_text(encoding="utf-8")
    assert "None of the 24 test stars has literature labels" in text and "labels fitted" in text
