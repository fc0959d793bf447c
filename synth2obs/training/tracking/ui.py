"""The MLflow UI of a store, in the browser of this machine."""

import os
import sys
from pathlib import Path

from synth2obs.core.errors import OutputError
from synth2obs.training.tracking.moved import follow
from synth2obs.training.tracking.record import read_record
from synth2obs.training.tracking.store import ENVIRONMENT, store_address


def ui_command(store: str | Path, port: int = 5000) -> tuple[list[str], dict[str, str]]:
    """The command and the environment that show a store in the browser, to this machine only and to read.

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
    follow(root)
    serve = ["-m", "synth2obs.training.tracking.read_only", store_address(root), str(port)]
    return [sys.executable, *serve], {**os.environ, **ENVIRONMENT}


def experiment_url(experiment: str, port: int = 5000) -> str:
    """Address of an experiment's runs in the browser, on the pages for trainings rather than those for chats."""
    return f"http://127.0.0.1:{port}/#/experiments/{experiment}/runs?workflowType=machine_learning"


def experiment_of(out: str | Path) -> str:
    """Id of the experiment that a training's ``run.json`` names; 0, MLflow's own first, if it names none."""
    return str(read_record(Path(out) / "run.json").get("experiment", "0"))
