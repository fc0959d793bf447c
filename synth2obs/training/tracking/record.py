"""``run.json`` of a training: by which a resumed one finds its runs in the store."""

import json
import uuid
from pathlib import Path
from typing import Any

from synth2obs.core.errors import OutputError
from synth2obs.core.files import write_json_atomic


def read_record(path: Path) -> dict[str, Any]:
    """What the file holds, empty if there is none.

    Raises:
        OutputError: If it cannot be read.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); delete it to begin a new run") from None


def token_of(path: Path) -> str:
    """What marks the runs of a training; a new one is on disk before any run exists, so that no crash orphans a run.

    Raises:
        OutputError: If the file cannot be read or written.
    """
    old = read_record(path)
    token = old.get("token") or uuid.uuid4().hex
    write_json_atomic(path, {**old, "token": token})
    return str(token)


def update_record(path: Path, token: str, experiment: str, run: str, stages: dict[str, str]) -> None:
    """Keep the ids of the experiment, the training's run and its stages' runs, beside those of earlier stages.

    Raises:
        OutputError: If the file cannot be read or written.
    """
    old = read_record(path)
    new = {
        "token": token,
        "experiment": experiment,
        "run": run,
        "stages": {**old.get("stages", {}), **stages},
    }
    if new != old:
        write_json_atomic(path, new)
