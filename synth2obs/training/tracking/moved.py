"""A store whose folder was moved or copied: MLflow keeps absolute places of artifacts, which have to follow."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from synth2obs.core.errors import OutputError

ARTIFACTS = "artifacts"

PATIENCE = 120.0
"""Seconds for which another process may hold the store."""

PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""Columns of MLflow's tables that hold places of artifacts."""


def place_of(folder: str | Path) -> str:
    """What MLflow calls a folder: its path, or its ``file:`` URI where a path would be read as one."""
    path = Path(folder).resolve()
    return path.as_uri() if set(str(path)) & set("?%#") else str(path)


def follow(folder: str | Path) -> None:
    """Let a store's artifacts be where the store is; nothing changes in one that was not moved.

    Args:
        folder: Of ``mlflow.db`` and ``artifacts``.

    Raises:
        OutputError: If the store was moved and cannot be written.
    """
    root = Path(folder).resolve()
    database = root / "mlflow.db"
    if not database.is_file():
        return
    try:
        with closing(sqlite3.connect(database, timeout=PATIENCE)) as store:
            for old in sorted(_former_roots(store, root)):
                with store:
                    _move(store, old, place_of(root))
    except sqlite3.DatabaseError as error:
        if "not a database" not in str(error):
            raise OutputError(
                f"{database}: was moved, and its artifacts' places cannot be changed ({error}); make it writable once"
            ) from error


def _former_roots(store: sqlite3.Connection, root: Path) -> set[str]:
    """Folders in which experiments keep artifacts as ours do, other than this one."""
    found = set()
    for place in _values(store, "experiments", "artifact_location"):
        parent, _, last = place.rpartition("/")
        if last == ARTIFACTS and parent != place_of(root) and (root / ARTIFACTS).is_dir():
            found.add(parent)
    return found


def _values(store: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
    if column in _columns(store, table):
        yield from (str(value) for (value,) in store.execute(f"SELECT {column} FROM {table}") if value)


def _columns(store: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in store.execute(f"PRAGMA table_info({table})")}


def _move(store: sqlite3.Connection, old: str, new: str) -> None:
    """Change the beginning of every place from one folder to another."""
    for table, columns in PLACES.items():
        for column in _columns(store, table) & set(columns):
            store.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                (new + "/", len(old) + 2, len(old) + 1, old + "/"),
            )
