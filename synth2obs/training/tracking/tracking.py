"""Experiment tracking with MLflow: one run per training, one nested run per stage.

Only this module and `pyfunc_model` know MLflow; both load it when they are first used. The store is
an SQLite file beside the artifacts, reached without a server.
"""

import json
import logging
import math
import os
import re
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from synth2obs.core.errors import ModelError, OutputError
from synth2obs.core.files import file_sha256, folder_lock, write_json_atomic
from synth2obs.training.config_io import Setting
from synth2obs.training.provenance import git_state, package_versions
from synth2obs.training.tracking.registry import register_bridge

BATCH = 1000
"""Metrics per request, the most that MLflow takes."""

TOKEN, STAGE, DESCRIBED, NONFINITE = (
    f"synth2obs.{name}" for name in ("token", "stage", "described", "nonfinite_metrics")
)
"""Tags by which a resumed training finds its runs and what it had done."""

WHOLE = "(training)"
"""Stage of the run that holds the others."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""Settings of MLflow: no calls home, no jobs on request, no chatter."""


class NullTracker:
    """Keeps nothing."""

    def start_stage(self, name: str) -> None:
        """Ignore the stage."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Ignore the metrics."""

    def flush(self) -> None:
        """Nothing to write."""

    def end_stage(self) -> None:
        """Nothing to end."""

    def close(self, status: str) -> None:
        """Nothing to close."""


class Tracker:
    """A training's runs in an MLflow store; begin with `Tracker.open`.

    Args:
        client: MLflow client of the store.
        experiment: Id of the experiment.
        token: What marks the runs of this training.
        record: ``run.json`` of this training.
    """

    def __init__(self, client: Any, experiment: str, token: str, record: Path) -> None:
        self.client = client
        self.experiment = experiment
        self._token = token
        self._record = record
        self._stages: dict[str, str] = {}
        self._buffer: list[Any] = []
        self._last: dict[str, int] = {}
        self._nonfinite: dict[str, dict[str, int]] = {}
        self.run = self._find_or_create("", record.parent.name)
        self._write_record()
        self._switch(self.run)

    @classmethod
    def open(
        cls,
        out: str | Path,
        *,
        grid: str,
        surveys: Sequence[str],
        settings: Mapping[str, Setting] | None = None,
        config_text: str = "",
        datasets: Mapping[str, str | Path] | None = None,
        store: str | Path | None = None,
    ) -> "Tracker":
        """Begin a training's run, or continue the one that ``<out>/run.json`` names.

        Args:
            out: Folder of the training.
            grid: Name of the grid; the experiment is called ``<grid> × <surveys>``.
            surveys: Names of the surveys.
            settings: Flattened configuration, kept as parameters.
            config_text: Resolved configuration, kept as ``config/resolved.toml``.
            datasets: Name and file of each input; its sha256 is kept.
            store: Folder of ``mlflow.db`` and ``artifacts``; ``<out>/mlflow`` if left out.

        Raises:
            OutputError: If the store cannot be opened.
            DataError: If a dataset cannot be read.
        """
        record = Path(out).resolve() / "run.json"
        folder = Path(store).resolve() if store else record.parent / "mlflow"
        client = open_store(folder)
        token = _read_record(record).get("token") or uuid.uuid4().hex
        # The token is on disk before any run exists, so that no crash can orphan a run.
        write_json_atomic(record, {**_read_record(record), "token": token})
        name = f"{grid} × {' + '.join(surveys)}"
        with _store_errors():
            tracker = cls(client, _experiment(client, name, folder), token, record)
            tracker._describe(settings or {}, config_text, datasets or {})
        return tracker

    def start_stage(self, name: str) -> None:
        """Begin a nested run, or continue it after the last step that it has."""
        self.flush()
        with _store_errors():
            self._stages[name] = self._find_or_create(name, name)
            self._write_record()
            self._switch(self._stages[name])

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep metrics for the next `flush`; a step that a metric already has is skipped.

        Values that are not finite are counted in a tag instead.

        Raises:
            ValueError: For a metric name that MLflow refuses.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for key, value in metrics.items():
            _check_metric(key)
            if not math.isfinite(value):
                self._count_nonfinite(key, step)
            elif step > self._last.get(key, -1):
                self._last[key] = step
                self._buffer.append(Metric(key, float(value), now, step))

    def flush(self) -> None:
        """Write the kept metrics, in batches.

        Raises:
            OutputError: If the store cannot be written; what is left is kept.
        """
        with _store_errors():
            while self._buffer:
                self.client.log_batch(self._current, metrics=self._buffer[:BATCH])
                del self._buffer[:BATCH]
            if self._nonfinite:
                self.client.set_tag(self._current, NONFINITE, json.dumps(self._nonfinite, sort_keys=True))

    def end_stage(self) -> None:
        """End the stage's run; what is logged from now on belongs to the training as a whole."""
        self.flush()
        with _store_errors():
            self.client.set_terminated(self._current, "FINISHED")
            self._switch(self.run)

    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib or plotly figure as ``figures/<name>``, e.g. ``gap.png`` or ``gap.html``."""
        with _store_errors():
            self.client.log_figure(self.run, figure, f"figures/{name}")

    def artifact(self, path: str | Path, folder: str = "reports") -> None:
        """Keep a copy of a file, e.g. an HTML report, in a folder of the run."""
        with _store_errors():
            self.client.log_artifact(self.run, str(path), folder)

    def log_bridge(
        self, folder: str | Path, example: Mapping[str, float], *, name: str, survey: str, pixels: int
    ) -> str:
        """Register a bundle folder as an MLflow model with the alias ``champion``.

        The same bundle from the same run is registered once.

        Args:
            folder: What ``Bridge.save`` wrote.
            example: A value for every label, in the bridge's order and units.
            name: Name of the registered model, without ``/`` and ``:``.
            survey: The survey that is predicted when a user names none.
            pixels: Number of native pixels P, or -1 if it differs between surveys.

        Returns:
            Its address, ``models:/<name>/<version>``.

        Raises:
            ModelError: If the folder does not exist, or the name is not allowed.
        """
        with _store_errors():
            return register_bridge(
                self.client, self.experiment, self.run, Path(folder), example, name, survey, pixels
            )

    def close(self, status: str = "FINISHED") -> None:
        """Write what is left and end every run that is still open.

        Args:
            status: ``FINISHED``, ``FAILED`` or ``KILLED``.
        """
        try:
            self.flush()
        finally:
            with _store_errors():
                for run in (*self._open_runs(), self.run):
                    self.client.set_terminated(run, status)

    def _open_runs(self) -> list[str]:
        mine = f"tags.`{TOKEN}` = '{self._token}' and attributes.status = 'RUNNING'"
        runs = self.client.search_runs([self.experiment], mine)
        return [run.info.run_id for run in runs if run.info.run_id != self.run]

    def _find_or_create(self, stage: str, name: str) -> str:
        mine = f"tags.`{TOKEN}` = '{self._token}' and tags.`{STAGE}` = '{stage or WHOLE}'"
        found = self.client.search_runs([self.experiment], mine)
        if found:
            run = str(found[0].info.run_id)
            self.client.update_run(run, status="RUNNING")
            return run
        tags = {TOKEN: self._token, STAGE: stage or WHOLE}
        if stage:
            tags["mlflow.parentRunId"] = self.run
        return str(self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id)

    def _describe(
        self, settings: Mapping[str, Setting], config_text: str, datasets: Mapping[str, str | Path]
    ) -> None:
        from mlflow.entities import Param, RunTag

        if DESCRIBED in self.client.get_run(self.run).data.tags:
            return
        params = [
            Param(re.sub(r"[^\w./ :-]", "_", key), str(value)[:6000]) for key, value in settings.items()
        ]
        for start in range(0, len(params), 100):
            self.client.log_batch(self.run, params=params[start : start + 100])
        versions = {f"version.{package}": text for package, text in package_versions().items()}
        tags = {**git_state(__file__), **versions, DESCRIBED: "yes"}
        if config_text:
            self.client.log_text(self.run, config_text, "config/resolved.toml")
        if datasets:
            self.client.log_inputs(self.run, [_dataset(name, Path(path)) for name, path in datasets.items()])
        self.client.log_batch(self.run, tags=[RunTag(key, value) for key, value in tags.items()])

    def _count_nonfinite(self, key: str, step: int) -> None:
        entry = self._nonfinite.setdefault(key, {"count": 0, "last_step": -1})
        if step > entry["last_step"]:
            self._nonfinite[key] = {"count": entry["count"] + 1, "last_step": step}

    def _switch(self, run: str) -> None:
        """Log to a run from now on, knowing what it already has."""
        found = self.client.get_run(run).data
        self._current = run
        self._last = {
            key: max(metric.step for metric in self.client.get_metric_history(run, key))
            for key in found.metrics
        }
        self._nonfinite = json.loads(found.tags.get(NONFINITE, "{}"))

    def _write_record(self) -> None:
        old = _read_record(self._record)
        stages = {**old.get("stages", {}), **self._stages}
        record = {"token": self._token, "experiment": self.experiment, "run": self.run, "stages": stages}
        if record != old:
            write_json_atomic(self._record, record)


def open_store(folder: str | Path) -> Any:
    """A client of the store in a folder, which is created if it is missing.

    Processes open it one after another, because two that create an SQLite store at once damage it.

    Raises:
        OutputError: If the folder cannot be written, or holds a file that is no MLflow store.
    """
    root = Path(folder).resolve()
    try:
        (root / "artifacts").mkdir(parents=True, exist_ok=True)
        with _one_process(root), _store_errors():
            return _client(store_address(root))
    except OSError as error:
        raise OutputError(f"cannot open the store {root}: {error}; choose another folder") from error


def store_address(folder: str | Path) -> str:
    """What MLflow calls the store in a folder: ``sqlite:///…/mlflow.db``."""
    return f"sqlite:///{Path(folder).resolve() / 'mlflow.db'}"


def ui_command(store: str | Path, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that show a store in the browser, to this machine only.

    Args:
        store: Folder of ``mlflow.db``.
        port: TCP port.

    Returns:
        Arguments and environment for ``subprocess.run``.

    Raises:
        OutputError: If there is no store in the folder.
    """
    root = Path(store).resolve()
    if not (root / "mlflow.db").is_file():
        raise OutputError(f"{root}: no mlflow.db there; train first, or give the folder that holds it")
    serve = ["ui", "--backend-store-uri", store_address(root), "--host", "127.0.0.1"]
    limits = ["--port", str(port), "--workers", "1"]
    return [sys.executable, "-m", "mlflow", *serve, *limits], {**os.environ, **ENVIRONMENT}


def experiment_url(experiment: str, port: int = 5000) -> str:
    """Address of an experiment's runs in the browser."""
    return f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs"


def experiment_of(out: str | Path) -> str:
    """Id of the experiment that a training's ``run.json`` names; 0, MLflow's own first, if it names none."""
    return str(_read_record(Path(out) / "run.json").get("experiment", "0"))


def _client(address: str) -> Any:
    """A client that neither calls home nor chatters."""
    os.environ.update({key: value for key, value in ENVIRONMENT.items() if key not in os.environ})
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # What MLflow's dependencies deprecate in each other, users cannot act upon.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mlflow import MlflowClient

        return MlflowClient(address, address)


@contextmanager
def _store_errors() -> Iterator[None]:
    """A refusal of the store, such as a full disk or a damaged file, as an `OutputError`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise OutputError(
            f"the tracking store refuses: {reason}; see that its disk has space and that "
            "mlflow.db belongs to this version, or choose another store"
        ) from error


def _one_process(folder: Path) -> AbstractContextManager[None]:
    held = f"cannot open the store {folder}: another process has held it for two minutes"
    return folder_lock(folder, ".opening.lock", OutputError(f"{held}; end it or choose another folder"), 120)


def _experiment(client: Any, name: str, folder: Path) -> str:
    with _one_process(folder):
        found = client.get_experiment_by_name(name)
        if found is None:
            return str(client.create_experiment(name, artifact_location=str(folder / "artifacts")))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def _dataset(name: str, path: Path) -> Any:
    """A dataset by name and digest; MLflow's own digest field holds 36 characters of the 64."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sha256 = file_sha256(path)
    profile = json.dumps({"sha256": sha256, "bytes": path.stat().st_size})
    source = json.dumps({"uri": str(path.resolve())})
    dataset = Dataset(name, sha256[:36], "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _check_metric(key: str) -> None:
    if not re.fullmatch(r"[\w./ :-]+", key):
        raise ValueError(
            f"metric {key!r} may hold letters, digits and _ - . / : only; write 'fe_h/bias' for '[Fe/H] bias'"
        )


def _read_record(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); delete it to begin a new run") from None


def fetch_bundle(uri: str, store: str | Path | None = None) -> Path:
    """Folder of the bundle behind ``models:/name@alias``, ``models:/name/version`` or ``runs:/…``.

    Args:
        uri: Address in an MLflow store.
        store: Folder of ``mlflow.db``; by default the environment's ``MLFLOW_TRACKING_URI``.

    Raises:
        ModelError: If there is no store, or nothing at the address.
    """
    address = store_address(store) if store else os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        raise ModelError(
            f"{uri}: no store; give store=DIR (the folder of mlflow.db) or set MLFLOW_TRACKING_URI"
        )
    if store and not (Path(store) / "mlflow.db").is_file():
        raise ModelError(f"{uri}: no mlflow.db in {store}; give the folder that holds it, e.g. OUT/mlflow")
    try:
        client = _client(address)
        from mlflow.artifacts import download_artifacts

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = Path(download_artifacts(artifact_uri=_location(client, uri), tracking_uri=address))
    except Exception as error:
        raise ModelError(f"{uri}: not found in {address}: {error}") from error
    weights = sorted(found.rglob("bridge.safetensors"))
    if not weights:
        raise ModelError(f"{uri}: no bridge among its files; it was not registered by synth2obs")
    return weights[0].parent


def _location(client: Any, uri: str) -> str:
    """Where the files of ``models:/name@alias`` or ``models:/name/version`` are; any other address as it is.

    MLflow itself would look the name up in its default registry, whatever store it is told to use.
    """
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/]+)|/(\d+))", uri)
    if found is None:
        return uri
    name, alias, number = found.groups()
    version = number or client.get_model_version_by_alias(name, alias).version
    return str(client.get_model_version_download_uri(name, version))
