"""The whole way: train, evaluate on held-out stars, report, register. What ``quickstart`` and ``train`` run."""

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.evaluate import Sample, evaluate
from synth2obs.analysis.placebo import placebo
from synth2obs.analysis.same_star import Pairs, same_star
from synth2obs.core.constants import METRICS_FORMAT
from synth2obs.core.errors import Interrupted
from synth2obs.core.files import write_atomic, write_json_atomic
from synth2obs.core.told import LOG, told
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import load_bundle
from synth2obs.reports.assets import FOLDER as ASSETS
from synth2obs.reports.figures import figures
from synth2obs.reports.summary import ranking_numbers, summary
from synth2obs.reports.survey import rebuild
from synth2obs.reports.verdict import PASS, verdict
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import Domains, SurveyData
from synth2obs.training.finished import finished
from synth2obs.training.run import Trained, open_tracker, train
from synth2obs.training.state import State
from synth2obs.training.theory_errors import grid_latents, held_out_errors
from synth2obs.training.tracking.tracker import Tracker

Say = Callable[[str], None]
STAGE = "evaluation"
VERDICT, PROMOTED = "synth2obs.verdict", "synth2obs.promoted"
"""Tags of runs and of model versions."""


def run(
    config: TrainConfig,
    out: str | Path,
    *,
    progress: bool = True,
    say: Say = LOG.info,
    promote: bool = False,
) -> dict[str, Any]:
    """Train (or go on), evaluate, write ``metrics.json``, ``evaluation/``, ``report/`` and register the bridge.

    Args:
        config: Settings.
        out: Folder; a second call with the same settings goes on where the first stopped, and does nothing if that is
            complete.
        progress: Show progress bars on a terminal; elsewhere lines are logged.
        say: Told what is being done; by default it is logged.
        promote: Make the model the registry's champion whatever the verdict, which is recorded.

    Returns:
        The content of ``metrics.json``.

    Raises:
        Synth2ObsError: As the parts do; `Interrupted` after Ctrl-C.
    """
    folder, began = Path(out), time.time()
    if complete := finished(config, folder):
        say(f"{folder} is complete: nothing is trained; delete its metrics.json to have it evaluated again")
        return _judged_again(config, folder, complete, say, promote)
    outcome = train(config, folder, progress=progress)
    try:
        outcome.tracker.start_stage(STAGE)
        with told(STAGE):
            metrics, arrays = measure(outcome, say)
        metrics["run"]["seconds"] = round(time.time() - began, 1)
        metrics["verdict"] = verdict(_jsonable(metrics), config.thresholds)
        _write(folder, metrics, arrays)
        outcome.tracker.log(0, dict(_numbers(metrics)))
        outcome.tracker.end_stage()
        _track(outcome, folder, metrics, arrays, say, promote)
    except KeyboardInterrupt:
        outcome.tracker.close("KILLED")
        raise Interrupted(
            "stopped while evaluating; the same command goes on with what was trained"
        ) from None
    except BaseException:
        outcome.tracker.close("FAILED")
        raise
    outcome.tracker.close("FINISHED")
    return metrics


def measure(outcome: Trained, say: Say) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Everything in ``metrics.json`` and the arrays of every survey."""
    state, config = outcome.state, outcome.config
    metrics: dict[str, Any] = {"format": METRICS_FORMAT, "surveys": {}, "run": outcome.card | {"reasons": {}}}
    arrays = {}
    for name, survey in state.domains.surveys.items():
        metrics["surveys"][name], arrays[name] = evaluate(
            state.bridge, _sample(state, config, name, survey), say
        )
    for name in state.domains.surveys:
        say(f"{name}: same stars in two telescopes")
        _add_same_star(state, metrics, name)
    say("placebo: the grid against itself")
    grid, first = state.domains.grid, state.bridge.surveys[0]
    metrics["placebo"] = placebo(
        state.bridge,
        first,
        state.flux[~state.kept],
        grid.values[grid.held_out],
        snr=config.evaluation.placebo_scale,
        seed=config.seed,
    )
    metrics["decoder"] = held_out_errors(state, grid_latents(state))
    return metrics, arrays


def _sample(state: State, config: TrainConfig, name: str, survey: SurveyData) -> Sample:
    return Sample(
        name=name,
        train=state.seen[name],
        stars=state.stars[name],
        test=survey.spectra.take(survey.rows("test")),
        examples=config.evaluation.examples,
        kept=config.evaluation.stars,
        lines=config.evaluation.lines,
        strong_lines=config.evaluation.strong_lines,
        literature_errors=config.evaluation.literature_errors.model_dump(),
    )


def _add_same_star(state: State, metrics: dict[str, Any], name: str) -> None:
    pairs = [
        p for other in state.domains.surveys if other != name for p in [_pairs(state.domains, other, name)]
    ]
    best = max(pairs, key=lambda pair: 0 if pair is None else len(pair.first_spectra), default=None)
    if best is None:
        metrics["surveys"][name]["same_star"] = None
        metrics["run"]["reasons"][name] = {"same_star": "no test star is in another survey of this run"}
        return
    metrics["surveys"][name]["same_star"] = same_star(state.bridge, best)


def _pairs(domains: Domains, first: str, second: str) -> Pairs | None:
    """Test stars that both surveys have."""
    one, two = domains.surveys[first], domains.surveys[second]
    rows = {star: row for row, star in enumerate(one.star) if one.part[row] == "test"}
    common = [(rows[star], row) for row, star in enumerate(two.star) if star in rows]
    if not common:
        return None
    left, right = np.array(common).T
    return Pairs(first, one.spectra.take(left), second, two.spectra.take(right))


def _write(folder: Path, metrics: Mapping[str, Any], arrays: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    for name, columns in arrays.items():
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        write_atomic(folder / "evaluation" / f"{name}.npz", buffer.getvalue())
    write_json_atomic(folder / "metrics.json", _jsonable(metrics))


def _track(
    outcome: Trained,
    folder: Path,
    metrics: dict[str, Any],
    arrays: Mapping[str, dict[str, np.ndarray]],
    say: Say,
    promote: bool,
) -> None:
    say("reports")
    _track_pages(outcome.tracker, folder)
    for name, columns in arrays.items():
        for title, figure in figures(_jsonable(metrics), columns, name).items():
            outcome.tracker.figure(figure, f"{name}/{title}.png")
    say("registering the model")
    _conclude(outcome.tracker, outcome.state.bridge, outcome.bundle, outcome.config, metrics, promote)


def _track_pages(tracker: Tracker, folder: Path) -> None:
    """Draw a run's pages and keep them with what they load and with the numbers."""
    for path in (*rebuild(folder), folder / "report" / ASSETS, folder / "metrics.json"):
        tracker.artifact(path)


def _judged_again(
    config: TrainConfig, folder: Path, metrics: dict[str, Any], say: Say, promote: bool
) -> dict[str, Any]:
    """A complete run by today's thresholds; written and registered again only if that changes something."""
    found = verdict(metrics, config.thresholds)
    if found == metrics.get("verdict") and not promote:
        return metrics
    say("judging by the thresholds")
    settings = {**metrics["run"]["config"], "thresholds": config.thresholds.model_dump(mode="json")}
    metrics = {**metrics, "verdict": found, "run": {**metrics["run"], "config": settings}}
    write_json_atomic(folder / "metrics.json", metrics)
    tracker = open_tracker(config, folder)
    try:
        _track_pages(tracker, folder)
        _conclude(tracker, load_bundle(folder / "bridge"), folder / "bridge", config, metrics, promote)
    finally:
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
