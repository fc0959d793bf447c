"""`synth2obs prove`: what it refuses at once, and a whole bench in small."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs.cli import app

EXPERIMENT = Path(__file__).parents[1] / "experiments" / "07_proof"

TINY = """
draws = 20
ablations = ["all_features"]

[simulation]
start = 5000.0
stop = 5300.0
stars = 40

[scenarios.placebo]

[scenarios.lines]
name = "missing_lines"

[scenarios.other_physics]
nature = "nowhere.h5"

[scenarios.few]
name = "few_stars"
stars = [20, 30]

[scenarios.pair]
name = "two_surveys"

[networks]
pretrained = {steps = 20, hidden = 16}
cycle = {steps = 10, latent = 8, hidden = 8}

[training]
threads = 1
decoder = {latent = 6, rank = 8, hidden = 8}
continuum = {order = 3}
theory = {steps = 4}
latent = {steps = 2, width_stars = 6}
labels = {iterations = 1}
morph = {steps = 4}
gap = {iterations = 1}
critic = {steps = 4}
"""


@pytest.fixture
def bench(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def refused(bench, tmp_path):
    """What the command says when it refuses, having written nothing."""

    def refused(*arguments):
        done = CliRunner().invoke(app, ["prove", str(bench), *arguments, "-o", str(tmp_path / "out")])
        assert done.exit_code == 2, done.output
        assert "Traceback" not in done.output
        assert not list((tmp_path / "out").iterdir())
        return done.stderr

    return refused


class TestRefusals:
    def test_an_unknown_scenario(self, refused):
        text = refused("--scenario", "lnes")
        assert "no scenario 'lnes'" in text and "placebo, lines, other_physics" in text

    def test_a_missing_shard(self, refused):
        assert "nowhere.h5" in refused("--scenario", "other_physics")
        assert "gone.h5" in refused("simulation.grid=gone.h5", "--scenario", "placebo")

    def test_a_survey_in_the_place_of_a_grid(self, refused):
        text = refused("simulation.grid=embedded:miles", "--scenario", "placebo")
        assert "is a survey, not a grid" in text

    def test_a_grid_without_gradients(self, refused, tmp_path):
        from dataclasses import replace

        from synth2obs.io.embedded import embedded_path
        from synth2obs.io.shard.read import read_shard
        from synth2obs.io.shard.write import write_shard

        grid = replace(read_shard(embedded_path("optical_grid")), gradients=None)
        shard = write_shard(grid, tmp_path / "plain.h5")
        text = refused(f"simulation.grid={shard}", "--scenario", "lines")
        assert "no gradient spectra" in text and "synth2obs grid gradients" in text

    def test_too_few_spectra(self, refused):
        text = refused("simulation.nature_share=0.01", "--scenario", "placebo")
        assert "12 are needed" in text and "nature_share" in text

    @pytest.mark.parametrize(
        "setting, told",
        [
            ("scenarios.placebo.share=0.2", "unknown 'share'"),
            ("scenarios.lines.share=0.9", "less than or equal to 0.5"),
            ("simulation.snrr=5", "did you mean 'snr'"),
            ("training.gap.iteration=1", "iteration"),
            ("training.data.grid=mine.h5", "a scenario says it itself"),
            ('ablations=["no_luck"]', "all_features"),
            ("simulation.stop=100", "below stop"),
            ("networks.cycle.step=5", "did you mean 'steps'"),
            ("scenarios.few.stars=[30]", "at least 2 items"),
        ],
    )
    def test_settings(self, refused, setting, told):
        assert told in refused(setting)


@pytest.mark.parametrize("path", sorted(EXPERIMENT.glob("*.toml")), ids=lambda path: path.name)
def test_benches_of_the_experiments_are_read(path):
    from synth2obs.prove.cases import read_config

    assert read_config(path).scenarios


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_a_whole_bench_in_small(bench, tmp_path, keep_torch, monkeypatch):
    from synth2obs.analysis.baselines import METHODS
    from synth2obs.analysis.networks import NETWORKS
    from synth2obs.prove.cases import read_config
    from synth2obs.prove.run import prove
    from synth2obs.training.tracking.store import open_store
    from synth2obs.training.tracking.ui import experiment_of

    out, said = tmp_path / "out", []
    names = ("placebo", "lines")

    def run(names, *overrides):
        said.clear()
        with keep_torch():
            return prove(read_config(bench, overrides), out, names, progress=False, say=said.append)

    found = run(names)
    assert found["scenarios"] == {"placebo": ["placebo"], "lines": ["lines"]}
    assert json.loads((out / "scores.json").read_text()) == json.loads(json.dumps(found))
    for name in names:
        methods = found["surveys"][name]["methods"]
        assert list(methods) == [*METHODS, "all_features", *NETWORKS]
        assert all(0 <= row["teff_pull"]["value"] <= 1 for row in methods.values())
        assert methods["theory"]["gap_explained"]["value"] == 0.0
        assert "false_lines" in methods["morph"] and "false_lines" not in methods["theory"]
        assert methods["theory"]["held_wavelengths"]["value"] == 0.0
        for method, row in methods.items():
            spectra = method != "pretrained"
            assert all((key in row) == spectra for key in ("gap_explained", "held_wavelengths", "c2st"))
            assert not spectra or 0 <= row["c2st"]["value"] <= 1
        assert "false_lines" not in methods["cycle"] and methods["cycle"]["cycle_error"]["value"] > 0
        arrays = np.load(out / name / "arrays.npz", allow_pickle=False)
        assert arrays["morph_gap"].shape == arrays["wavelength"].shape
        assert not any("label" in key for key in _keys(out / name / "survey.h5"))
    lines = found["surveys"]["lines"]["methods"]
    assert lines["linear_residual"]["gap_explained"]["value"] > 0.4
    assert lines["linear_residual"]["auprc_lines"]["value"] > 0.8
    assert 0.7 < lines["linear_residual"]["depth_ratio"]["value"] < 1.3
    assert "auprc_cells" in lines["cycle"] and "depth_ratio_whole" in lines["cycle"]

    page = (out / "proof.html").read_text(encoding="utf-8")
    body = page.split("</style>")[1]
    assert "residual linear in labels" in body and "http" not in re.sub('"data:[^"]*"', "", body)
    client = open_store(out / "mlflow")
    runs = client.search_runs([experiment_of(out)])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.info.run_name for run in runs} >= {"placebo", "lines", "scores"}
    scored = [run for run in runs if run.info.run_name == "scores"]
    assert len(scored) == 2 and all("morph/gap_explained" in run.data.metrics for run in scored)

    assert run(names) == found and not said
    run(["lines"], "draws=21")
    assert any("scoring" in text for text in said) and not any("simulating" in text for text in said)
    changed = run(["placebo"], "draws=21", "simulation.snr=50")
    assert sum("beginning again" in text for text in said) == 1
    assert list(changed["surveys"]) == ["placebo"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")
def test_few_stars_and_two_surveys_in_small(bench, tmp_path, keep_torch):
    from synth2obs.prove.cases import read_config
    from synth2obs.prove.run import prove

    out, said = tmp_path / "out", []
    with keep_torch():
        found = prove(read_config(bench), out, ("few", "pair"), progress=False, say=said.append)
    assert found["scenarios"] == {"few": ["few-20", "few-30"], "pair": ["pair", "pair-second"]}
    facts = [found["surveys"][f"few-{count}"]["facts"] for count in (20, 30)]
    assert [fact["held"] for fact in facts] == [12, 12] and facts[0]["stars"] < facts[1]["stars"]
    for name in ("pair", "pair-second"):
        survey = found["surveys"][name]
        assert (out / survey["arrays"]).exists()
        assert survey["methods"]["linear_residual"]["gap_explained"]["value"] > 0.2
        assert "depth_elsewhere" in survey["methods"]["cycle"]
        assert "lines_elsewhere" in survey["methods"]["morph"]
    between = found["same_stars"]["pair"]
    assert between.keys() == found["surveys"]["pair"]["methods"].keys()
    assert between["morph"]["teff_between_scatter"]["value"] >= 0
    page = (out / "proof.html").read_text(encoding="utf-8").split("</style>")[1]
    assert "Scores against the number of stars" in page and "second − first" in page
    with keep_torch():
        again = prove(read_config(bench), out, ("few", "pair"), progress=False, say=said.append)
    assert again == found and sum("training" in text for text in said) == 3


def _keys(path):
    import h5py

    with h5py.File(path) as file:
        return [f"labels/{name}" for name in file["labels"]]
