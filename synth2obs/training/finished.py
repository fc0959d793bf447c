"""Whether a run is complete, so that nothing has to be done again."""

import json
from pathlib import Path
from typing import Any

from synth2obs.core.constants import METRICS_FORMAT
from synth2obs.core.digests import refuse_changed
from synth2obs.core.errors import Synth2ObsError
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import run_card
from synth2obs.training.tracking.record import read_record
from synth2obs.training.tracking.store import open_store, store_errors

SAME = ("digests", "git_commit")
"""What a card says of the data and the code; versions of other packages may differ."""

FASTER = ("threads", "checkpoint_every", "thresholds")
"""Settings that change no number of an evaluation."""


def finished(config: TrainConfig, folder: Path, base: str | Path | None = None) -> dict[str, Any] | None:
    """What a complete run of the same settings, data and code found; None if something is left to do.

    Complete is a run whose numbers, arrays, pages and bundle are there and whose tracked run says that it ended well,
    which it does after everything else.

    Args:
        config: Settings.
        folder: The run's.
        base: Folder of the bridge that a survey was added to.

    Returns:
        The content of ``metrics.json``.

    Raises:
        DataError: If the numbers or the arrays are not as they were written.
    """
    metrics = _stored(folder / "metrics.json")
    wanted = (
        folder / "bridge" / "bridge.safetensors",
        *(folder / "evaluation" / f"{name}.npz" for name in config.data.surveys),
        *(folder / "report" / f"{name}.html" for name in config.data.surveys),
    )
    if metrics.get("format") != METRICS_FORMAT or not all(path.is_file() for path in wanted):
        return None
    for path in (folder / "metrics.json", *wanted):
        refuse_changed(path)
    same = _same(metrics.get("run", {}), run_card(config, 0.0, base))
    return metrics if same and _ended_well(folder) else None


def _stored(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two cards are of the same settings, data and code."""
    settings = [
        {key: value for key, value in card.get("config", {}).items() if key not in FASTER}
        for card in (old, new)
    ]
    ours = [card.get("versions", {}).get("synth2obs") for card in (old, new)]
    return (
        settings[0] == settings[1]
        and ours[0] == ours[1]
        and all(old.get(key) == new.get(key) for key in SAME)
    )


def _ended_well(folder: Path) -> bool:
    """Whether the store says that the whole run is finished."""
    if not (folder / "mlflow" / "mlflow.db").is_file():
        return False
    try:
        run = read_record(folder / "run.json")["run"]
        with store_errors():
            return bool(open_store(folder / "mlflow").get_run(run).info.status == "FINISHED")
    except (KeyError, Synth2ObsError):
        return False
