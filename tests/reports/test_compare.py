"""Finished runs are found, ranked and laid side by side."""

import io
import json
import re

import numpy as np
import pytest
from rich.console import Console

from synth2obs.core.errors import DataError
from synth2obs.reports.compare import render, write_comparison
from synth2obs.reports.run_list import as_records, find_run, find_runs, ranked, run_table


@pytest.fixture
def runs(tmp_path, metrics, arrays):
    """Three runs: one that passes, a better one that warns, and one without a verdict."""

    def write(name, rms, verdict, started):
        own = json.loads(json.dumps(metrics))
        for row in own["surveys"].values():
            row["anchored_rms"]["morph"] = rms
        own["run"] |= {"started": started, "config": {"gap": {"iterations": 2 if verdict else 3}}}
        if verdict:
            own["verdict"] = {"status": verdict, "surveys": {}, "checks": []}
        folder = tmp_path / "runs" / name
        (folder / "evaluation").mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(own))
        np.savez(folder / "evaluation" / "miles.npz", **arrays)
        return folder

    write("passes", 0.012, "PASS", "2026-01-01T00:00:00+00:00")
    write("warns", 0.009, "WARN", "2026-02-01T00:00:00+00:00")
    write("old", 0.008, "", "2025-01-01T00:00:00+00:00")
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("verdict", ["passes", "warns", "old"]),
        ("rms", ["old", "warns", "passes"]),
        ("date", ["warns", "passes", "old"]),
    ],
)
def test_they_are_ranked(runs, by, order):
    assert [run.folder.name for run in ranked(find_runs([runs]), by)] == order


def test_a_folder_is_found_once_and_at_any_depth(runs):
    assert len(find_runs([runs, runs / "old", runs.parent])) == 3


def test_the_table_has_every_survey_of_every_run(runs):
    console = Console(file=io.StringIO(), width=100)
    console.print(run_table(ranked(find_runs([runs])), runs))
    text = console.file.getvalue()
    assert text.count("miles") == 3 == text.count("stelib") and "PASS" in text and "1.20±0.05" in text
    (first, *_) = as_records(ranked(find_runs([runs])))
    assert first["verdict"] == "PASS" and first["surveys"]["miles"]["anchored_rms"] == 0.012


def test_what_is_not_there_is_named(tmp_path, runs):
    with pytest.raises(DataError, match="no finished run"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="cannot sort by"):
        ranked(find_runs([runs]), "colour")
    with pytest.raises(DataError, match="cannot be read"):
        find_run(tmp_path)


def test_the_page_says_what_differs(runs):
    out = write_comparison(find_run(runs / "passes"), find_run(runs / "old"), runs.parent / "page.html")
    text = out.read_text(encoding="utf-8").replace("\u00a0", " ")
    assert "1.20 ± 0.05" in text and "0.80 ± 0.05" in text and "−0.400 ± 0.071" in text
    assert "gap.iterations" in text and "verdicts PASS and none" in text
    assert "http" not in re.sub('"data:[^"]*"', "", text.split("</style>")[1])
    assert render(find_run(runs / "passes"), find_run(runs / "old")) == out.read_text(encoding="utf-8")


def test_a_run_with_itself_differs_in_nothing(runs):
    text = render(find_run(runs / "old"), find_run(runs / "old"))
    assert "the same settings" in text and 'class="best"' not in text.split("</style>")[1]


def test_a_survey_that_one_lacks_is_said(runs):
    path = runs / "old" / "metrics.json"
    own = json.loads(path.read_text())
    del own["surveys"]["stelib"]
    path.write_text(json.dumps(own))
    assert "old has no survey of that name" in render(find_run(runs / "passes"), find_run(runs / "old"))
