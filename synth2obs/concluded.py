"""What becomes of a run's numbers: pages, a description, a registered model; and a complete run judged again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.core.digests import forget_digests, keep_digests
from synth2obs.core.files import write_json_atomic
from synth2obs.core.told import Say
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import load_bundle
from synth2obs.reports.assets import FOLDER as ASSETS
from synth2obs.reports.figures import figures
from synth2obs.reports.summary import ranking_numbers, summary
from synth2obs.reports.survey import rebuild
from synth2obs.reports.verdict import PASS, verdict
from synth2obs.training.closing import closed_on_error
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import Trained, open_tracker
from synth2obs.training.signals import signals_wait
from synth2obs.training.tracking.tracker import Tracker

VERDICT, PROMOTED = "synth2obs.verdict", "synth2obs.promoted"
"""Tags of runs and of model versions."""


def track(
    outcome: Trained,
    folder: Path,
    metrics: dict[str, Any],
    arrays: Mapping[str, dict[str, np.ndarray]],
    say: Say,
    promote: bool,
) -> None:
    """Draw and keep a trained run's pages and figures, describe the run, and register its bridge.

    Args:
        outcome: Training with an open tracker.
        folder: Of the run.
        metrics, arrays: What was measured.
        say: Told what is being done.
        promote: Make the model champion whatever the verdict.
    """
    say("reports")
    _track_pages(outcome.tracker, folder)
    for name, columns in arrays.items():
        for title, figure in figures(metrics, columns, name).items():
            outcome.tracker.figure(figure, f"{name}/{title}.png")
    say("registering the model")
    _conclude(outcome.tracker, outcome.state.bridge, outcome.bundle, outcome.config, metrics, promote)


def _track_pages(tracker: Tracker, folder: Path) -> None:
    """Draw a run's pages and keep them with what they load and with the numbers."""
    for path in (*rebuild(folder), folder / "report" / ASSETS, folder / "metrics.json"):
        tracker.artifact(path)


def judged_again(
    config: TrainConfig, folder: Path, metrics: dict[str, Any], say: Say, promote: bool
) -> dict[str, Any]:
    """A complete run by today's thresholds; written and registered again only if that changes something."""
    found = verdict(metrics, config.thresholds)
    if found == metrics.get("verdict") and not promote:
        return metrics
    say("judging by the thresholds")
    settings = {**metrics["run"]["config"], "thresholds": config.thresholds.model_dump(mode="json")}
    metrics = {**metrics, "verdict": found, "run": {**metrics["run"], "config": settings}}
    forget_digests(folder)
    write_json_atomic(folder / "metrics.json", metrics)
    keep_digests(folder, [folder / "metrics.json", *(folder / "evaluation").glob("*.npz")])
    tracker = open_tracker(config, folder)
    with closed_on_error(tracker, "stopped while judging; the same command evaluates again"):
        _track_pages(tracker, folder)
        _conclude(tracker, load_bundle(folder / "bridge"), folder / "bridge", config, metrics, promote)
    with signals_wait():
        tracker.close("FINISHED")
    return metrics


def _conclude(
    tracker: Tracker,
    bridge: Bridge,
    bundle: Path,
    config: TrainConfig,
    metrics: Mapping[str, Any],
    promote: bool,
) -> None:
    """Describe the run and register its bridge; only a run that passes becomes champion by itself."""
    status, grid = metrics["verdict"]["status"], metrics["run"]["digests"]["grid"]
    tracker.describe(
        summary(metrics),
        {VERDICT: status, "surveys": ", ".join(metrics["surveys"]), "grid.sha256": str(grid)},
    )
    tracker.log(0, ranking_numbers(metrics))
    tags = {VERDICT: status}
    if promote or status == PASS:
        tags[PROMOTED] = f"verdict {PASS}" if status == PASS else f"by --promote, verdict {status}"
    tracker.log_bridge(
        bundle,
        dict(zip(bridge.labels.names, map(float, bridge.labels.default), strict=True)),
        name=config.model_name,
        survey=bridge.surveys[0],
        champion=PROMOTED in tags,
        tags=tags,
    )
