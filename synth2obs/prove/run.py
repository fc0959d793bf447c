"""Simulate, train without labels, score: every survey of a bench, and what they say together."""

import io
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.networks.lessons import Theory
from synth2obs.analysis.proof.score import Scores, Survey, row_of, score
from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.analysis.proof.simulate import HELD_FILE, SURVEY, TRUTH_FILE, simulate
from synth2obs.analysis.proof.slopes import bias_slopes
from synth2obs.analysis.proof.truth import Truth
from synth2obs.core.errors import Interrupted
from synth2obs.core.files import write_atomic, write_json_atomic
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.prove.cases import FORMAT, Case, cases_of, chosen, is_scored, scored_cases, stored
from synth2obs.reports.proof_page import write_page
from synth2obs.training.run import Trained, train

Say = Callable[[str], None]
STAGE = "scores"

MARKER = "case.json"
"""What a survey's folder was made from, and how long its training took, interruptions included."""


def prove(
    config: ProveConfig,
    out: str | Path,
    scenarios: Sequence[str] = (),
    *,
    progress: bool = True,
    say: Say = print,
) -> dict[str, Any]:
    """Simulate, train and score; write ``scores.json``, ``proof.html`` and a folder a survey.

    Everything is simulated before anything is trained. A survey that is scored already is left as it is; one that was
    interrupted goes on where it was; one whose settings or input files have changed begins again.

    Args:
        config: The bench.
        out: Folder.
        scenarios: Names of those that are wanted; all by default.
        progress: Show progress bars.
        say: Told what is being done.

    Returns:
        The content of ``scores.json``.

    Raises:
        ConfigError: For a scenario that the configuration does not have.
        Synth2ObsError: As simulation and training do; `Interrupted` after Ctrl-C.
    """
    folder = Path(out).resolve()
    cases = list(cases_of(config, folder, chosen(config, scenarios)))
    todo = [case for case in cases if not is_scored(case)]
    for case in todo:
        _simulated(config, case, say)
    for number, case in enumerate(todo, 1):
        say(f"[{number}/{len(todo)}] {case.name}: training")
        _run(config, case, folder, progress, say)
    return _gathered(config, list(scored_cases(config, folder)), folder)


def _simulated(config: ProveConfig, case: Case, say: Say) -> None:
    """Write a survey's files, unless they are there; begin again if anything that they depend on has changed."""
    marker = case.folder / MARKER
    found = stored(marker).get("digest")
    if found == case.made:
        return
    if found is not None:
        say(f"{case.name}: settings or data have changed; beginning again")
        shutil.rmtree(case.folder)
    say(f"{case.name}: simulating")
    simulate(config.simulation, case.twist, config.seed).write(case.folder)
    write_json_atomic(marker, {"digest": case.made, "twist": asdict(case.twist)})


def _run(config: ProveConfig, case: Case, out: Path, progress: bool, say: Say) -> None:
    outcome = _trained(case, out, progress)
    tracker = outcome.tracker
    # `synth2obs ui` opens the experiment that a folder's record names; all surveys of a bench are in one.
    write_json_atomic(out / "run.json", {"experiment": tracker.experiment})
    try:
        tracker.start_stage(STAGE)
        truth = Truth.load(case.folder / TRUTH_FILE)
        scores = score(
            _survey(case, outcome, truth),
            config,
            lambda text: say(f"{case.name}: {text}"),
        )
        _write(case, outcome, truth, scores)
        tracker.log(0, dict(_metrics(scores)))
        tracker.end_stage()
        for name in ("scores.json", "arrays.npz"):
            tracker.artifact(case.folder / name, STAGE)
    except KeyboardInterrupt:
        tracker.close("KILLED")
        raise Interrupted("stopped while scoring; the same command goes on with what was trained") from None
    except BaseException:
        tracker.close("FAILED")
        raise
    tracker.close("FINISHED")


def _trained(case: Case, out: Path, progress: bool) -> Trained:
    marker, began = case.folder / MARKER, time.monotonic()
    try:
        return train(case.training, case.folder, progress=progress, store=out / "mlflow")
    finally:
        # A bridge that is only scored again was trained before.
        if not (case.folder / "scores.json").exists():
            old = stored(marker)
            seconds = float(old.get("seconds", 0.0)) + time.monotonic() - began
            write_json_atomic(marker, {**old, "seconds": seconds})


def _survey(case: Case, outcome: Trained, truth: Truth) -> Survey:
    state, data = outcome.state, case.training.data
    held = cut_wavelengths(read_shard(case.folder / HELD_FILE), data.start, data.stop)
    return Survey(
        bridge=state.bridge,
        name=SURVEY,
        train=state.seen[SURVEY],
        stars=state.stars[SURVEY],
        held=held,
        truth=truth,
        theory=Theory(state.flux[state.kept], state.x[state.kept]),
    )


def _write(case: Case, outcome: Trained, truth: Truth, scores: Scores) -> None:
    buffer = io.BytesIO()
    lines = {key: getattr(truth, key) for key in vars(truth) if key.startswith(("line_", "gap"))}
    columns = {**scores.arrays, **{f"true_{key}": np.asarray(value) for key, value in lines.items()}}
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    write_atomic(case.folder / "arrays.npz", buffer.getvalue())
    model = outcome.state.bridge.survey(SURVEY)
    facts = {
        **truth.facts(),
        "training_seconds": round(float(stored(case.folder / MARKER).get("seconds", 0.0)), 1),
        "line_width": float(model.width_scale),
        "line_width_truth": case.twist.defects.line_spread,
    }
    content = {
        "digest": case.scored,
        "facts": facts,
        "instrument": row_of(scores.instrument),
        "methods": scores.jsonable(),
        "card": outcome.card,
    }
    write_json_atomic(case.folder / "scores.json", content)


def _metrics(scores: Scores) -> Iterator[tuple[str, float]]:
    for method, row in {**scores.methods, "instrument": scores.instrument}.items():
        for key, found in row.items():
            yield f"{method}/{key}", found.value
            yield f"{method}/{key}_error", found.error


def _gathered(config: ProveConfig, cases: Sequence[Case], out: Path) -> dict[str, Any]:
    """Write what all scored surveys say together, and the page."""
    surveys = {case.name: stored(case.folder / "scores.json") for case in cases}
    by_scenario: dict[str, list[str]] = {}
    for case in cases:
        by_scenario.setdefault(case.scenario, []).append(case.name)
    whole = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "scenarios": by_scenario,
        "surveys": {
            name: {key: content[key] for key in ("facts", "instrument", "methods", "digest")}
            for name, content in surveys.items()
        },
        "slopes": _slopes(surveys, by_scenario),
        "run": {
            key: value
            for key, value in _last(surveys).items()
            if key in ("versions", "git_commit", "started")
        },
    }
    write_json_atomic(out / "scores.json", whole)
    write_page(whole, out)
    return whole


def _last(surveys: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The card of the survey that was trained last."""
    return dict(max((content["card"] for content in surveys.values()), key=lambda card: card["started"]))


def _slopes(surveys: Mapping[str, Any], by_scenario: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Slopes of label biases against drift where a scenario has several drifts."""
    slopes = {}
    for scenario, names in by_scenario.items():
        drifts = [surveys[name]["facts"]["drift"] for name in names]
        if len(set(drifts)) > 1:
            slopes[scenario] = bias_slopes(drifts, [surveys[name]["methods"] for name in names])
    return slopes
