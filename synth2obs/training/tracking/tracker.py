"""A training in an MLflow store: one run for the whole, one nested run per stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from synth2obs.core.config_io import Setting
from synth2obs.training.tracking.describe import describe_run
from synth2obs.training.tracking.left_open import TOKEN
from synth2obs.training.tracking.metrics import RunMetrics
from synth2obs.training.tracking.record import token_of, update_record
from synth2obs.training.tracking.registry import Registration, register_bridge
from synth2obs.training.tracking.store import open_experiment, open_store, store_errors

STAGE = "synth2obs.stage"
"""Tag, beside `TOKEN`, by which a resumed training finds its runs."""

NOTE = "mlflow.note.content"
"""Tag that MLflow shows as a run's description."""

WHOLE = "(training)"
"""Stage of the run that holds the others."""


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
        self.run = self._find_or_create("", record.parent.name)
        self._write_record()
        self._metrics = RunMetrics(client, self.run)

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
        token = token_of(record)
        name = f"{grid} × {' + '.join(surveys)}"
        with store_errors():
            tracker = cls(client, open_experiment(client, name, folder), token, record)
            describe_run(client, tracker.run, settings or {}, config_text, datasets or {})
        return tracker

    def start_stage(self, name: str) -> None:
        """Begin a nested run, or continue it after the last step that it has."""
        self.flush()
        with store_errors():
            self._stages[name] = self._find_or_create(name, name)
            self._write_record()
            self._metrics = RunMetrics(self.client, self._stages[name])

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep metrics for the next `flush`; a step that a metric already has is skipped.

        Values that are not finite are counted in a tag instead.

        Raises:
            ValueError: For a metric name that MLflow refuses.
        """
        self._metrics.log(step, metrics)

    def flush(self) -> None:
        """Write the kept metrics, in batches.

        Raises:
            OutputError: If the store cannot be written; what is left is kept.
        """
        with store_errors():
            self._metrics.flush()

    def end_stage(self) -> None:
        """End the stage's run; what is logged from now on belongs to the training as a whole."""
        self.flush()
        with store_errors():
            self.client.set_terminated(self._metrics.run, "FINISHED")
            self._metrics = RunMetrics(self.client, self.run)

    def figure(self, figure: Any, name: str) -> None:
        """Keep a matplotlib or plotly figure as ``figures/<name>``, e.g. ``gap.png`` or ``gap.html``."""
        with store_errors():
            self.client.log_figure(self.run, figure, f"figures/{name}")

    def artifact(self, path: str | Path, folder: str = "reports") -> None:
        """Keep a copy of a file, e.g. an HTML report, or of a folder under its own name, in a folder of the run."""
        with store_errors():
            self.client.log_artifact(self.run, str(path), folder)

    def describe(self, text: str, tags: Mapping[str, str]) -> None:
        """Say what came of the training, on its run's page: a text in Markdown, and tags to filter runs by."""
        with store_errors():
            for key, value in {NOTE: text, **tags}.items():
                self.client.set_tag(self.run, key, value)

    def log_bridge(
        self,
        folder: str | Path,
        example: Mapping[str, float],
        *,
        name: str,
        survey: str,
        champion: bool = True,
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Register a bundle folder as an MLflow model.

        The same bundle from the same run is registered once.

        Args:
            folder: What ``Bridge.save`` wrote.
            example: A value for every label, in the bridge's order and units.
            name: Name of the registered model, without ``/`` and ``:``.
            survey: The survey that is predicted when a user names none.
            champion: Whether the alias ``champion`` is to point to it.
            tags: Of the version.

        Returns:
            Its address, ``models:/<name>/<version>``.

        Raises:
            ModelError: If the folder does not exist, or the name is not allowed.
        """
        wanted = Registration(
            experiment=self.experiment,
            run=self.run,
            folder=Path(folder),
            example=example,
            name=name,
            survey=survey,
            champion=champion,
            tags=tags or {},
        )
        with store_errors():
            return register_bridge(self.client, wanted)

    def close(self, status: str = "FINISHED") -> None:
        """Write what is left and end every run that is still open.

        Args:
            status: ``FINISHED``, ``FAILED`` or ``KILLED``.
        """
        try:
            self.flush()
        finally:
            with store_errors():
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

    def _write_record(self) -> None:
        update_record(self._record, self._token, self.experiment, self.run, self._stages)
