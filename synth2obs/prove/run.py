"""Simulate, train without labels, score: every survey of a bench, and what they say together."""

import io
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.networks.lessons import Theory
from synth2obs.analysis.proof.same_stars import same_stars
from synth2obs.analysis.proof.score import Scores, Survey, row_of, score
from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.analysis.proof.simulate import HELD_FILE, SECOND, SURVEY, TRUTH_FILE, file_of, simulate
from synth2obs.analysis.proof.slopes import bias_slopes
from synth2obs.analysis.proof.truth import Truth
from synth2obs.core.files import write_atomic, write_json_atomic
from synth2obs.core.told import Say
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.prove.cases import FORMAT, Case, cases_of, chosen, is_scored, scored_cases, stored
from synth2obs.reports.proof_page import write_page
from synth2obs.training.closing import closed_on_error, nothing_left_open
from synth2obs.training.run import Trained, train
from synth2obs.training.signals import signals_wait
from synth2obs.training.state import State

STAGE = "scores"
ARRAYS_FILE = "arrays.npz"

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
    with closed_on_error(tracker, "stopped while scoring; the same command goes on with what was trained"):
        tracker.start_stage(STAGE)
        scores = {name: _scored(config, case, outcome, name, say) for name in case.surveys}
        _write(config, case, outcome, scores)
        tracker.log(0, dict(_metrics(scores)))
        tracker.end_stage()
        for file in ("scores.json", *(file_of(name, ARRAYS_FILE) for name in case.surveys)):
            tracker.artifact(case.folder / file, STAGE)
    with signals_wait():
        tracker.close("FINISHED")


def _trained(case: Case, out: Path, progress: bool) -> Trained:
    marker, began = case.folder / MARKER, time.monotonic()
    try:
        with nothing_left_open(case.folder, out / "mlflow"):
            return train(case.training, case.folder, progress=progress, store=out / "mlflow")
    finally:
        # A bridge that is only scored again was trained before.
        if not (case.folder / "scores.json").exists():
            old = stored(marker)
            seconds = float(old.get("seconds", 0.0)) + time.monotonic() - began
            write_json_atomic(marker, {**old, "seconds": seconds})


def _scored(config: ProveConfig, case: Case, outcome: Trained, name: str, say: Say) -> Scores:
    """Every method on the held-out stars of one survey."""
    state, data, folder = outcome.state, case.training.data, case.folder
    survey = Survey(
        bridge=state.bridge,
        name=name,
        train=state.seen[name],
        stars=state.stars[name],
        held=cut_wavelengths(read_shard(folder / file_of(name, HELD_FILE)), data.start, data.stop),
        truth=_truth(case, name),
        theory=_theory(state, name),
    )
    return score(survey, config, lambda text: say(f"{case.title(name)}: {text}"))


def _theory(state: State, survey: str) -> Theory:
    """Spectra that the grid teaches with, on the rest frame that a survey sees."""
    part = state.theory(survey)
    kept = state.kept[part.rows]
    return Theory(part.flux[kept], state.x[part.rows[kept]])


def _truth(case: Case, name: str) -> Truth:
    return Truth.load(case.folder / file_of(name, TRUTH_FILE))


def _write(config: ProveConfig, case: Case, outcome: Trained, scores: Mapping[str, Scores]) -> None:
    """Arrays of every survey, and the scores of all."""
    surveys = {}
    for name, found in scores.items():
        truth, file = _truth(case, name), file_of(name, ARRAYS_FILE)
        lines = {key: getattr(truth, key) for key in vars(truth) if key.startswith(("line_", "gap"))}
        columns = {**found.arrays, **{f"true_{key}": np.asarray(value) for key, value in lines.items()}}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        write_atomic(case.folder / file, buffer.getvalue())
        surveys[case.title(name)] = {
            "facts": _facts(case, outcome, truth, name),
            "instrument": row_of(found.instrument),
            "methods": found.jsonable(),
            "arrays": f"{case.name}/{file}",
        }
    content = {"digest": case.scored, "surveys": surveys, "card": outcome.card}
    if len(scores) > 1:
        between = same_stars(scores[SURVEY], scores[SECOND], _truth(case, SURVEY), config.draws)
        content["same_stars"] = {method: row_of(row) for method, row in between.items()}
    write_json_atomic(case.folder / "scores.json", content)


def _facts(case: Case, outcome: Trained, truth: Truth, name: str) -> dict[str, Any]:
    return {
        **truth.facts(),
        "training_seconds": round(float(stored(case.folder / MARKER).get("seconds", 0.0)), 1),
        "line_width": float(outcome.state.bridge.survey(name).width_scale),
        "line_width_truth": case.twist.defects.line_spread,
    }


def _metrics(scores: Mapping[str, Scores]) -> Iterator[tuple[str, float]]:
    """Every number by a name; a second survey's begin with its own."""
    for survey, found in scores.items():
        begin = "" if survey == SURVEY else f"{survey}/"
        for method, row in {**found.methods, "instrument": found.instrument}.items():
            for key, number in row.items():
                yield f"{begin}{method}/{key}", number.value
                yield f"{begin}{method}/{key}_error", number.error


def _gathered(config: ProveConfig, cases: Sequence[Case], out: Path) -> dict[str, Any]:
    """Write what all scored surveys say together, and the page."""
    found = {case.name: stored(case.folder / "scores.json") for case in cases}
    by_scenario: dict[str, list[str]] = {}
    for case in cases:
        by_scenario.setdefault(case.scenario, []).extend(map(case.title, case.surveys))
    surveys = {
        title: {**survey, "digest": content["digest"]}
        for content in found.values()
        for title, survey in content["surveys"].items()
    }
    whole = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "scenarios": by_scenario,
        "surveys": surveys,
        "same_stars": {
            name: content["same_stars"] for name, content in found.items() if "same_stars" in content
        },
        "slopes": _slopes(surveys, by_scenario),
        "run": {
            key: value for key, value in _last(found).items() if key in ("versions", "git_commit", "started")
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
