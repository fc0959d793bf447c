"""A store's database, made whole or not at all.

MLflow makes its tables one after another; a process that dies in between would leave a file that no later one can open.
"""

import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

DATABASE = "mlflow.db"


def make_whole(root: Path, connect: Callable[[Path], Any]) -> None:
    """Make a store's database if there is none, or again if one without runs cannot be opened.

    Nobody else may open the store meanwhile.

    Args:
        root: Folder of the store.
        connect: A client of the database in a file, which is made if it is missing.
    """
    database = root / DATABASE
    for left in root.glob(f".{DATABASE}.*"):
        left.unlink()
    if not database.exists():
        _make(database, connect)
    elif _has_no_runs(database) and not _opens(database, connect):
        os.replace(database, _unused(root))
        _make(database, connect)


def _make(database: Path, connect: Callable[[Path], Any]) -> None:
    """Under another name, which becomes the database's when all tables are there."""
    fresh = _other(database)
    connect(fresh).search_experiments(max_results=1)
    os.replace(fresh, database)


def _opens(database: Path, connect: Callable[[Path], Any]) -> bool:
    """Whether MLflow opens a copy: of the database itself it would remember, in this process, how it was."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    copy = _other(database)
    shutil.copyfile(database, copy)
    try:
        connect(copy).search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError):
        return False
    finally:
        copy.unlink()
    return True


def _other(database: Path) -> Path:
    """A name beside the database that was never used: MLflow remembers databases by their names."""
    return database.with_name(f".{database.name}.{uuid.uuid4().hex}")


def _has_no_runs(database: Path) -> bool:
    """Whether nothing would be lost with it: it is a database, and has no run. A file that is none is not ours."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as store:
            tables = {
                name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            return "runs" not in tables or store.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    except sqlite3.DatabaseError:
        return False


def _unused(root: Path) -> Path:
    """A name beside the database for what is set aside."""
    number = 1
    while (path := root / f"{DATABASE}.unfinished-{number}").exists():
        number += 1
    return path
