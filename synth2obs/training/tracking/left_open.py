"""Runs of a training that an interruption left open."""

from pathlib import Path

from synth2obs.training.tracking.record import read_record
from synth2obs.training.tracking.store import open_store, store_errors

TOKEN = "synth2obs.token"
"""Tag of all runs of one training."""


def end_left_open(out: str | Path, store: str | Path | None = None, status: str = "KILLED") -> None:
    """End every run of a training that is still open.

    Args:
        out: Folder of the training.
        store: Of its runs; ``<out>/mlflow`` if left out.
        status: What they become.

    Raises:
        OutputError: If the store cannot be opened or written.
    """
    folder = Path(store) if store else Path(out) / "mlflow"
    token = read_record(Path(out) / "run.json").get("token")
    if not token or not (folder / "mlflow.db").is_file():
        return
    with store_errors():
        client = open_store(folder)
        mine = f"tags.`{TOKEN}` = '{token}' and attributes.status = 'RUNNING'"
        experiments = [one.experiment_id for one in client.search_experiments()]
        for run in client.search_runs(experiments, mine):
            client.set_terminated(run.info.run_id, status)
