"""What a whole run leaves: numbers, pages, a registered model, and a store that says how it went."""

import json
import shutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import synth2obs
from synth2obs.core.errors import Interrupted, ModelError, OutputError
from synth2obs.models.bundle import load_bundle
from synth2obs.reports.checks import SHAPES, check_arrays, check_metrics
from synth2obs.reports.results import read_arrays, read_metrics
from synth2obs.training.finished import finished
from synth2obs.training.run import read_config
from synth2obs.training.tracking.store import open_store
from synth2obs.workflow import run

SURVEYS = ("miles", "stelib")
METHODS = ("theory", "constant_residual", "linear_residual", "marginal_alignment", "morph")

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning"),
]


@pytest.fixture(scope="module")
def metrics(trained):
    return read_metrics(trained.folder / "metrics.json")


@pytest.fixture(scope="module")
def bridge(trained):
    return load_bundle(trained.folder / "bridge")


@pytest.fixture
def go_on(copy_of, small, keep_torch):
    """Run the workflow again where it was; its last words are returned."""

    def go_on(*overrides):
        said = []
        with keep_torch():
            run(read_config(None, [*small, *overrides]), copy_of, progress=False, say=said.append)
        return said

    return go_on


def rewrite(folder, change):
    """Change what metrics.json says."""
    path = folder / "metrics.json"
    metrics = json.loads(path.read_text())
    change(metrics)
    path.write_text(json.dumps(metrics))
    (folder / "digests.json").unlink()


def tell(folder, status):
    """Let the store say that the run ended otherwise."""
    run_id = json.loads((folder / "run.json").read_text())["run"]
    open_store(folder / "mlflow").set_terminated(run_id, status)


class TestNumbers:
    def test_the_contract_is_kept(self, metrics, trained):
        check_metrics(metrics)
        for survey in SURVEYS:
            arrays = read_arrays(trained.folder / "evaluation" / f"{survey}.npz")
            check_arrays(arrays)
            assert set(SHAPES) == set(arrays)

    @pytest.mark.parametrize("survey", SURVEYS)
    def test_every_documented_number_is_there_and_finite(self, metrics, survey):
        row = metrics["surveys"][survey]
        for table in ("anchored_rms", "anchored_chi2", "free_rms"):
            assert set(METHODS) <= row[table].keys()
            assert all(0 < value < 100 for value in row[table].values())
        for method in METHODS:
            assert row["label_recovery"][method].keys() == {"teff", "logg", "fe_h"}
            for label in row["label_recovery"][method].values():
                assert label["n"] == row["n_anchored"] <= row["n_test"]
                assert np.isfinite(label["bias"]) and label["scatter"] >= 0
        assert row["n_train"] > 0 and row["n_test"] > 0
        assert 0.4 < row["lsf"]["width_scale"] < 2.6
        assert len(row["lsf"]["fwhm_angstrom"]) == len(row["lsf"]["wavelength"])
        assert row["gap"]["rms"] > 0 and row["gap"]["rms_error"] > 0 and len(row["gap"]["lines"]) <= 3
        assert row["noise"]["chi2_per_pixel"] > 0 and row["noise"]["correlation_pixels"] >= 1
        assert row["same_star"]["with"] in SURVEYS and row["same_star"]["with"] != survey
        assert row["same_star"]["n"] > 0 and row["same_star"]["rms"] > 0

    def test_a_gap_that_was_learned_lowers_the_residual_of_stars_that_it_has_not_seen(self, metrics):
        rms = metrics["surveys"]["miles"]["anchored_rms"]
        assert rms["morph"] < 0.95 * rms["theory"] and rms["linear_residual"] < rms["theory"]

    def test_placebo_and_decoder(self, metrics):
        placebo, decoder = metrics["placebo"], metrics["decoder"]
        assert placebo["n"] >= 8
        assert placebo["label_bias"].keys() == {"teff", "logg", "fe_h"}
        largest = max(metrics["surveys"][survey]["gap"]["rms"] for survey in SURVEYS)
        assert 0 <= placebo["gap_rms"] < largest
        assert 0 < decoder["median"] < decoder["rms"] < 0.1
        assert decoder["rms"] <= decoder["emulator_rms"] < 0.2

    def test_what_the_run_was(self, metrics, trained):
        found = metrics["run"]
        assert found["config"]["decoder"]["latent"] == 6
        assert found["digests"].keys() == {"grid", *SURVEYS}
        assert all(len(digest) == 64 for digest in found["digests"].values())
        assert {"torch", "numpy"} <= found["versions"].keys() and found["seconds"] > 0

    def test_no_test_star_trained(self, trained, small):
        from synth2obs.training.domains import load_domains

        config = read_config(None, small)
        surveys = load_domains(config.data, config.seed).surveys
        for name, survey in surveys.items():
            tested = set(read_arrays(trained.folder / "evaluation" / f"{name}.npz")["test_id"])
            rows = {
                part: set(survey.spectra.id[survey.rows(part)]) for part in ("train", "validation", "test")
            }
            assert tested == rows["test"] and not tested & (rows["train"] | rows["validation"])


class TestReports:
    def test_there_is_a_page_for_every_survey(self, trained):
        pages = {page.stem: page.read_text(encoding="utf-8") for page in trained.folder.glob("report/*.html")}
        index = pages.pop("index")
        assert pages.keys() == set(SURVEYS) and all(f'href="{name}.html"' in index for name in SURVEYS)
        assert all("<title" in text and name in text for name, text in pages.items())

    def test_every_test_star_is_on_its_page_with_a_spectrum(self, trained):
        for name in SURVEYS:
            arrays = read_arrays(trained.folder / "evaluation" / f"{name}.npz")
            stars = len(arrays["test_id"])
            text = (trained.folder / "report" / f"{name}.html").read_text(encoding="utf-8")
            assert text.count('<button type="button" data-star=') == stars == len(arrays["spectra_star"])
            assert arrays["spectra_observed"].dtype == np.int16
            assert len(list(trained.folder.glob(f"report/assets/{name}/stars-*.js"))) == -(-stars // 16)


class TestStore:
    def test_the_run_and_all_its_stages_are_finished(self, trained):
        record = json.loads((trained.folder / "run.json").read_text())
        client = open_store(trained.store)
        names = {"theory", "latent", "labels", "morph", "gap", "critic", "evaluation"}
        assert record["stages"].keys() == names
        for each in (record["run"], *record["stages"].values()):
            assert client.get_run(each).info.status == "FINISHED"
        parents = {client.get_run(each).data.tags["mlflow.parentRunId"] for each in record["stages"].values()}
        assert parents == {record["run"]}

    def test_it_holds_settings_data_numbers_and_pages(self, trained, metrics):
        record = json.loads((trained.folder / "run.json").read_text())
        client = open_store(trained.store)
        whole = client.get_run(record["run"])
        assert whole.data.params["decoder.latent"] == "6"
        assert {each.dataset.name for each in whole.inputs.dataset_inputs} == {"grid", *SURVEYS}
        reports = {each.path for each in client.list_artifacts(record["run"], "reports")}
        assert {"reports/miles.html", "reports/stelib.html", "reports/index.html"} <= reports
        assert {"reports/metrics.json", "reports/assets"} <= reports
        assets = {each.path for each in client.list_artifacts(record["run"], "reports/assets")}
        assert assets == {f"reports/assets/{name}" for name in ("plotly.min.js", *SURVEYS)}
        assert client.list_artifacts(record["run"], "reports/assets/miles")
        figures = client.list_artifacts(record["run"], "figures/miles")
        assert len(figures) > 5
        found = client.get_run(record["stages"]["evaluation"]).data.metrics
        assert found["miles/anchored_rms/morph"] == pytest.approx(
            metrics["surveys"]["miles"]["anchored_rms"]["morph"]
        )
        assert "placebo/gap_rms" in found

    def test_every_step_is_logged_once(self, trained):
        record = json.loads((trained.folder / "run.json").read_text())
        client = open_store(trained.store)
        history = client.get_metric_history(record["stages"]["morph"], "loss")
        assert [metric.step for metric in history] == [0, 1, 2, 3]


class TestVerdict:
    def test_it_stands_in_the_numbers_and_on_the_page(self, trained, metrics):
        found = metrics["verdict"]
        assert found["status"] in ("PASS", "WARN", "FAIL") and found["surveys"].keys() == set(SURVEYS)
        assert {check["name"] for check in found["checks"]} >= {
            "residual",
            "baseline",
            "placebo_gap",
            "flagged",
        }
        text = (trained.folder / "report" / "miles.html").read_text(encoding="utf-8")
        assert f"verdict {found['surveys']['miles'].lower()}" in text

    def test_the_run_is_described_and_can_be_ranked(self, trained, metrics):
        record = json.loads((trained.folder / "run.json").read_text())
        run = open_store(trained.store).get_run(record["run"])
        assert run.data.tags["synth2obs.verdict"] == metrics["verdict"]["status"]
        assert run.data.tags["surveys"] == "miles, stelib" and len(run.data.tags["grid.sha256"]) == 64
        assert run.data.tags["mlflow.note.content"].startswith("**Verdict:")
        rms = metrics["surveys"]["miles"]["anchored_rms"]
        assert run.data.metrics["miles/rms"] == pytest.approx(rms["morph"])
        assert run.data.metrics["miles/rms_over_theory"] == pytest.approx(rms["morph"] / rms["theory"])

    def test_only_what_passes_is_champion_and_promotion_is_recorded(self, trained, small, tmp_path):
        shutil.copytree(trained.folder, tmp_path / "out")
        kind = ["thresholds.placebo_gap=[-2,-1]"]
        told = []
        again = run(read_config(None, [*small, *kind]), tmp_path / "out", progress=False, say=told.append)
        assert again["verdict"]["status"] == "FAIL" and "judging by the thresholds" in told
        assert not any("baselines" in line for line in told), "nothing is evaluated again"
        client = open_store(tmp_path / "out" / "mlflow")
        assert "champion" not in client.get_registered_model("optical").aliases
        run(read_config(None, [*small, *kind]), tmp_path / "out", progress=False, promote=True)
        version = client.get_model_version_by_alias("optical", "champion")
        assert (
            str(version.version) == "1" and version.tags["synth2obs.promoted"] == "by --promote, verdict FAIL"
        )
        stored = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert stored["verdict"]["status"] == "FAIL"
        assert stored["run"]["config"]["thresholds"]["placebo_gap"] == [-2, -1]


@dataclass
class Registered:
    """The model, as MLflow's own function loads it."""

    model: object
    frame: pd.DataFrame
    table: np.ndarray


@pytest.fixture(scope="module")
def registered(trained, bridge):
    import mlflow
    import mlflow.pyfunc

    before = mlflow.get_tracking_uri(), mlflow.get_registry_uri()
    uri = f"sqlite:///{trained.store / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    try:
        model = mlflow.pyfunc.load_model("models:/optical/1")
    finally:
        mlflow.set_tracking_uri(before[0])
        mlflow.set_registry_uri(before[1])
    table = np.tile(bridge.labels.default, (3, 1))
    table[:, bridge.labels.index("teff")] = [4800.0, 5300.0, 6000.0]
    return Registered(model, pd.DataFrame(table, columns=list(bridge.labels.names)), table)


class TestRegisteredModel:
    def test_load_bridge_finds_it_and_it_is_the_same(self, trained, bridge, registered):
        found = synth2obs.load_bridge("models:/optical/1", store=trained.store)
        for survey in SURVEYS:
            expected = bridge.predict(registered.table, survey, 10.0)
            assert np.array_equal(found.predict(registered.table, survey, 10.0), expected, equal_nan=True)
        by_version = synth2obs.load_bridge("models:/optical/1", store=trained.store)
        assert by_version.surveys == bridge.surveys

    @pytest.mark.parametrize("survey", SURVEYS)
    def test_mlflow_predicts_the_same_bits(self, registered, bridge, survey):
        found = registered.model.predict(registered.frame, params={"survey": survey, "rv": -33.0})
        expected = bridge.predict(registered.table, survey, np.full(3, -33.0))
        assert np.array_equal(np.stack(found["flux"]), expected, equal_nan=True)

    def test_a_store_that_is_named_is_asked_whatever_else_the_process_uses(self, trained, tmp_path, bridge):
        import mlflow

        before = mlflow.get_registry_uri()
        mlflow.set_registry_uri(f"sqlite:///{tmp_path / 'other.db'}")
        try:
            found = synth2obs.load_bridge("models:/optical/1", store=trained.store)
        finally:
            mlflow.set_registry_uri(before)
        assert found.surveys == bridge.surveys and not (tmp_path / "other.db").exists()

    def test_what_is_not_registered_is_named(self, trained):
        with pytest.raises(ModelError, match="models:/optical@best: not found"):
            synth2obs.load_bridge("models:/optical@best", store=trained.store)


class TestAgain:
    @pytest.fixture
    def no_work(self, monkeypatch):
        def never(*arguments, **options):
            raise AssertionError("work began")

        monkeypatch.setattr("synth2obs.workflow.train", never)

    def test_a_complete_run_is_left_as_it_is(self, go_on, copy_of, no_work, metrics):
        before = {path: path.stat().st_mtime_ns for path in copy_of.rglob("*.[jnh]*")}
        (line,) = go_on("threads=2")
        assert "is complete: nothing is trained" in line
        assert {path: path.stat().st_mtime_ns for path in copy_of.rglob("*.[jnh]*")} == before

    def test_its_numbers_are_those_on_the_disk(self, copy_of, small, no_work):
        found = run(read_config(None, small), copy_of, say=lambda text: None)
        assert found == read_metrics(copy_of / "metrics.json")

    @pytest.mark.parametrize(
        "change",
        [
            lambda folder: (folder / "metrics.json").unlink(),
            lambda folder: (folder / "evaluation" / "stelib.npz").unlink(),
            lambda folder: (folder / "report" / "miles.html").unlink(),
            lambda folder: (folder / "bridge" / "bridge.safetensors").unlink(),
            lambda folder: shutil.rmtree(folder / "mlflow"),
            lambda folder: rewrite(folder, lambda metrics: metrics.update(format="synth2obs-metrics/0")),
            lambda folder: rewrite(folder, lambda metrics: metrics["run"].update(git_commit="another")),
            lambda folder: rewrite(folder, lambda metrics: metrics["run"]["digests"].update(grid="another")),
            lambda folder: tell(folder, "KILLED"),
        ],
        ids=["metrics", "arrays", "page", "bridge", "store", "format", "code", "data", "end"],
    )
    def test_what_is_not_complete_is(self, change, copy_of, small):
        assert finished(read_config(None, small), copy_of) is not None
        change(copy_of)
        assert finished(read_config(None, small), copy_of) is None

    @pytest.mark.parametrize("setting", ["evaluation.examples=2", "model_name=other", "gap.iterations=2"])
    def test_other_settings_are_not_complete(self, setting, copy_of, small):
        assert finished(read_config(None, [*small, setting]), copy_of) is None

    @pytest.mark.slow
    def test_a_trained_run_is_only_evaluated_again(self, go_on, copy_of, trained):
        """Everything that is random is drawn again alike, so the numbers are those of the first time."""
        (copy_of / "metrics.json").unlink()
        said = go_on()
        found, expected = (read_metrics(folder / "metrics.json") for folder in (copy_of, trained.folder))
        for table in ("surveys", "placebo", "decoder"):
            assert found[table] == expected[table]
        assert said == list(trained.said)
        client = open_store(copy_of / "mlflow")
        assert [str(each.version) for each in client.search_model_versions("name = 'optical'")] in (
            ["1"],
            ["2", "1"],
        )

    @pytest.mark.parametrize(
        "error, raised, status",
        [
            (KeyboardInterrupt(), Interrupted, "KILLED"),
            (OutputError("no space"), OutputError, "FAILED"),
        ],
        ids=["Ctrl-C", "full disk"],
    )
    def test_an_evaluation_that_ends_early_says_so(self, error, raised, status, go_on, copy_of, monkeypatch):
        def stop(*arguments, **options):
            raise error

        monkeypatch.setattr("synth2obs.measured.evaluate", stop)
        before = (copy_of / "metrics.json").read_bytes()
        with pytest.raises(raised):
            go_on("evaluation.placebo_scale=200")
        record = json.loads((copy_of / "run.json").read_text())
        client = open_store(copy_of / "mlflow")
        assert client.get_run(record["run"]).info.status == status
        assert client.get_run(record["stages"]["evaluation"]).info.status == status
        assert client.get_run(record["stages"]["critic"]).info.status == "FINISHED"
        assert (copy_of / "metrics.json").read_bytes() == before

    def test_a_damaged_checkpoint_is_named(self, go_on, copy_of):
        path = copy_of / "checkpoints" / "gap.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ModelError, match="gap.safetensors"):
            go_on("evaluation.placebo_scale=200")


@pytest.mark.slow
def test_one_survey_alone(small, new_folder, keep_torch, tmp_path):
    """Without a second telescope there is no comparison of telescopes, and the report says why."""
    settings = [*small, 'data.surveys={miles="embedded:miles"}', "data.same_stars="]
    folder = new_folder("alone")
    with keep_torch():
        run(read_config(None, settings), folder, progress=False, say=lambda text: None)
    found = read_metrics(folder / "metrics.json")
    assert found["surveys"].keys() == {"miles"} and found["surveys"]["miles"]["same_star"] is None
    assert "no test star is in another survey" in found["run"]["reasons"]["miles"]["same_star"]
    assert "no test star is in another survey" in (folder / "report" / "miles.html").read_text()
    shutil.rmtree(folder)
