"""The MLflow store of trainings: an SQLite file beside its artifacts, reached without a server.

MLflow is loaded by the functions that need it.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from synth2obs.core.errors import OutputError
from synth2obs.core.files import folder_lock
from synth2obs.training.tracking.made import make_whole
from synth2obs.training.tracking.moved import ARTIFACTS, follow, place_of

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""Tag of an experiment that MLflow's pages show as runs of a training, not of a chat."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}
"""Settings of MLflow: no calls home, no jobs on request, no chatter."""


def open_store(folder: str | Path) -> Any:
    """A client of the store in a folder, which is created if it is missing.

    Processes open it one after another, because two that create an SQLite store at once damage it.

    Raises:
        OutputError: If the folder cannot be written, or holds a file that is no MLflow store.
    """
    root = Path(folder).resolve()
    try:
        (root / ARTIFACTS).mkdir(parents=True, exist_ok=True)
        with _opening(root), store_errors():
            follow(root)
            make_whole(root, lambda database: client_of(database_address(database)))
            return client_of(store_address(root))
    except OSError as error:
        raise OutputError(f"cannot open the store {root}: {error}; choose another folder") from error


def open_experiment(client: Any, name: str, folder: Path) -> str:
    """Id of the experiment of that name, which is created, or restored if it was deleted.

    Args:
        client: MLflow client of the store.
        name: Name of the experiment.
        folder: Folder of the store; the artifacts go to ``artifacts`` in it.
    """
    with _opening(folder):
        found = client.get_experiment_by_name(name)
        if found is None:
            place = place_of(folder / ARTIFACTS)
            return str(client.create_experiment(name, artifact_location=place, tags=KIND))
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)


def store_address(folder: str | Path) -> str:
    """What MLflow calls the store in a folder: ``sqlite:///…/mlflow.db``.

    Raises:
        OutputError: If the folder's name holds a character that no such address can hold.
    """
    return database_address(Path(folder).resolve() / "mlflow.db")


def database_address(database: Path) -> str:
    """Address of an SQLite file, in which ``?`` and ``%`` would mean something else if they were not encoded.

    Raises:
        OutputError: If it cannot be encoded.
    """
    from sqlalchemy.engine import URL, make_url

    # Nothing is encoded that need not be: an address is read by people, too.
    plain = f"sqlite:///{database}"
    # MLflow makes folders for what follows "sqlite:///" as it stands; the driver's name keeps it from an encoded path.
    encoded = URL.create("sqlite+pysqlite", database=str(database)).render_as_string(hide_password=False)
    for address in (plain, encoded):
        if make_url(address).database == str(database):
            return address
    odd = ", ".join(sorted(set(str(database)) & set("?%#"))) or "a character"
    raise OutputError(
        f"{database.parent}: a tracking store cannot have {odd} in its path; choose another folder"
    )


def client_of(address: str) -> Any:
    """A client of a store that neither calls home nor chatters."""
    os.environ.update({key: value for key, value in ENVIRONMENT.items() if key not in os.environ})
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # What MLflow's dependencies deprecate in each other, users cannot act upon.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mlflow import MlflowClient

        return MlflowClient(address, address)


@contextmanager
def store_errors() -> Iterator[None]:
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


def _opening(folder: Path) -> AbstractContextManager[None]:
    held = f"cannot open the store {folder}: another process has held it for two minutes"
    return folder_lock(folder, ".opening.lock", OutputError(f"{held}; end it or choose another folder"), 120)
