"""The whole way: train, evaluate on held-out stars, report, register. What ``quickstart`` and ``train`` run."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.concluded import judged_again, track
from synth2obs.core.digests import forget_digests, keep_digests
from synth2obs.core.files import write_atomic, write_json_atomic
from synth2obs.core.told import LOG, Say, told
from synth2obs.measured import measure
from synth2obs.reports.verdict import verdict
from synth2obs.training.adapted import adapt
from synth2obs.training.closing import closed_on_error, nothing_left_open
from synth2obs.training.config import TrainConfig
from synth2obs.training.finished import finished
from synth2obs.training.run import train
from synth2obs.training.signals import signals_wait

STAGE = "evaluation"

STOPPED = "stopped while evaluating; the same command goes on with what was trained"


def run(
    config: TrainConfig,
    out: str | Path,
    *,
    progress: bool = True,
    say: Say = LOG.info,
    promote: bool = False,
    base: str | Path | None = None,
) -> dict[str, Any]:
    """Train (or go on), evaluate, write ``metrics.json``, ``evaluation/``, ``report/`` and register the bridge.

    Args:
        config: Settings.
        out: Folder; a second call with the same settings goes on where the first stopped, and does nothing if that is
            complete.
        progress: Show progress bars on a terminal; elsewhere lines are logged.
        say: Told what is being done; by default it is logged.
        promote: Make the model the registry's champion whatever the verdict, which is recorded.
        base: Folder of a trained bridge, to which the survey of the settings is added, see `training.adapted`; None:
            everything is trained.

    Returns:
        The content of ``metrics.json``.

    Raises:
        Synth2ObsError: As the parts do; `Interrupted` after Ctrl-C.
    """
    folder, began = Path(out), time.time()
    if complete := finished(config, folder, base):
        say(f"{folder} is complete: nothing is trained; delete its metrics.json to have it evaluated again")
        with nothing_left_open(folder):
            return judged_again(config, folder, complete, say, promote)
    with nothing_left_open(folder):
        return _run(config, folder, progress=progress, say=say, promote=promote, began=began, base=base)


def _run(
    config: TrainConfig,
    folder: Path,
    *,
    progress: bool,
    say: Say,
    promote: bool,
    began: float,
    base: str | Path | None,
) -> dict[str, Any]:
    if base is None:
        outcome = train(config, folder, progress=progress)
    else:
        outcome = adapt(base, config, folder, progress=progress)
    with closed_on_error(outcome.tracker, STOPPED):
        outcome.tracker.start_stage(STAGE)
        with told(STAGE):
            metrics, arrays = measure(outcome, say)
        metrics["run"]["seconds"] = round(time.time() - began, 1)
        metrics["verdict"] = verdict(metrics, config.thresholds)
        plain = _jsonable(metrics)
        _write(folder, plain, arrays)
        outcome.tracker.log(0, dict(_numbers(metrics)))
        outcome.tracker.end_stage()
        track(outcome, folder, plain, arrays, say, promote)
    with signals_wait():
        outcome.tracker.close("FINISHED")
    return metrics


def _write(folder: Path, metrics: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    forget_digests(folder)
    files = [folder / "metrics.json"]
    for name, columns in arrays.items():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        files.append(folder / "evaluation" / f"{name}.npz")
        write_atomic(files[-1], buffer.getvalue())
    write_json_atomic(folder / "metrics.json", metrics)
    keep_digests(folder, files)


def _jsonable(value: Any) -> Any:
    """The same with NaN and infinities as null, which JSON has no word for."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def _numbers(tree: Any, path: str = "") -> list[tuple[str, float]]:
    """Flattened numbers of the metrics, without lists and without the card."""
    if isinstance(tree, Mapping):
        return [
            pair for key, item in tree.items() if key != "run" for pair in _numbers(item, f"{path}/{key}")
        ]
    number = isinstance(tree, int | float) and not isinstance(tree, bool)
    return [(path.strip("/").removeprefix("surveys/"), float(tree))] if number else []
