"""Closed or hidden? Surveys of known truth, trained on without labels and scored. What ``synth2obs prove`` runs."""

import io
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.baselines import METHODS
from synth2obs.analysis.proof.score import Scores, Survey, score
from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.analysis.proof.simulate import (
    HELD_FILE,
    SURVEY,
    SURVEY_FILE,
    THEORY_FILE,
    TRUTH_FILE,
    simulate,
)
from synth2obs.analysis.proof.slopes import bias_slopes
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.config_io import Setting, digest, flatten, load_config, parse_config
from synth2obs.core.errors import ConfigError, Interrupted
from synth2obs.core.files import file_sha256, write_atomic, write_json_atomic
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.reports.proof_page import write_page
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import MAY_CHANGE, Trained, train

Say = Callable[[str], None]

FORMAT = "synth2obs-proof/1"
STAGE = "scores"

OURS = ("grid", "surveys", "same_stars", "start", "stop")
"""Settings of ``data`` that a scenario says itself."""

NOT_TOLD = ("data.grid", "data.surveys", *MAY_CHANGE)
"""Settings of a training that do not tell one survey of a bench from another."""

SPLIT = {"train": 0.85, "validation": 0.1}
"""Held-out stars lie in a shard of their own, so that nearly all others can train."""


@dataclass(frozen=True)
class Case:
    """One simulated survey of a bench.

    Args:
        scenario: Name of its table in the configuration.
        name: Of its folder, its run and its table.
        twist: What it changes.
        folder: Where everything of it lies.
        training: Settings of its training.
        made: Digest of all that simulation and training depend on.
        scored: Digest of all that its scores depend on.
    """

    scenario: str
    name: str
    twist: Twist
    folder: Path
    training: TrainConfig
    made: str
    scored: str


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> ProveConfig:
    """A bench from TOML and ``key=value`` overrides.

    Raises:
        ConfigError: For an unknown key or a value out of range, in the tables for trainings too.
    """
    config = load_config(ProveConfig, path, overrides)
    training_of(config, Path())
    return config


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
    cases = list(_cases(config, folder, _chosen(config, scenarios)))
    todo = [case for case in cases if not _is_scored(case)]
    for case in todo:
        _simulated(config, case, say)
    for number, case in enumerate(todo, 1):
        say(f"[{number}/{len(todo)}] {case.name}: training")
        _run(config, case, folder, progress, say)
    return _gathered(config, cases, folder)


def training_of(config: ProveConfig, folder: Path) -> TrainConfig:
    """Settings of the training on a folder's shards.

    Raises:
        ConfigError: For an unknown setting, or one that a scenario says itself.
    """
    tree = dict(config.training)
    data = dict(tree.get("data", {}))
    if taken := sorted(set(OURS) & set(data)):
        raise ConfigError(
            f"training.data.{taken[0]}: a scenario says it itself; change [simulation], or remove it"
        )
    own = {
        "grid": str(folder / THEORY_FILE),
        "surveys": {SURVEY: str(folder / SURVEY_FILE)},
        "start": config.simulation.start,
        "stop": config.simulation.stop,
    }
    tree = {"seed": config.seed, "model_name": "proof", **tree, "data": {**SPLIT, **data, **own}}
    return parse_config(TrainConfig, tree, source="training")


def _chosen(config: ProveConfig, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in config.scenarios:
            raise ConfigError(f"no scenario {name!r}; the configuration has {', '.join(config.scenarios)}")
    return [name for name in config.scenarios if not names or name in names]


def _cases(config: ProveConfig, out: Path, names: Sequence[str]) -> Iterator[Case]:
    for scenario in names:
        for key, twist in config.scenarios[scenario].cases().items():
            name = f"{scenario}-{key}" if key else scenario
            training = training_of(config, out / name)
            fixed = _settings(config, twist, training)
            how = {"draws": config.draws, "methods": " ".join((*METHODS, *config.ablations))}
            yield Case(scenario, name, twist, out / name, training, digest(fixed), digest({**fixed, **how}))


def _settings(config: ProveConfig, twist: Twist, training: TrainConfig) -> dict[str, Setting]:
    """All that simulation and training depend on, the content of their input files included."""
    inputs = {config.simulation.grid, config.simulation.template, twist.nature} - {""}
    settings: dict[str, Setting] = {"seed": config.seed, "format": FORMAT}
    settings["twist"] = json.dumps(asdict(twist), sort_keys=True)
    for part, values in (("simulation", flatten(config.simulation)), ("training", flatten(training))):
        settings |= {f"{part}.{key}": value for key, value in values.items() if not key.startswith(NOT_TOLD)}
    return settings | {f"file.{file}": file_sha256(resolve(file)) for file in sorted(inputs)}


def _stored(path: Path) -> dict[str, Any]:
    """A JSON file's content; empty if there is none, or no whole one."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _is_scored(case: Case) -> bool:
    return _stored(case.folder / "scores.json").get("digest") == case.scored


def _simulated(config: ProveConfig, case: Case, say: Say) -> None:
    """Write a survey's files, unless they are there; begin again if anything that they depend on has changed."""
    marker = case.folder / "case.json"
    found = _stored(marker).get("digest")
    if found == case.made:
        return
    if found is not None:
        say(f"{case.name}: settings or data have changed; beginning again")
        shutil.rmtree(case.folder)
    say(f"{case.name}: simulating")
    simulate(config.simulation, case.twist, config.seed).write(case.folder)
    write_json_atomic(marker, {"digest": case.made, "twist": asdict(case.twist)})


def _run(config: ProveConfig, case: Case, out: Path, progress: bool, say: Say) -> None:
    outcome = train(case.training, case.folder, progress=progress, store=out / "mlflow")
    tracker = outcome.tracker
    try:
        tracker.start_stage(STAGE)
        truth = Truth.load(case.folder / TRUTH_FILE)
        scores = score(
            _survey(case, outcome, truth),
            config.ablations,
            config.draws,
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
        "training_seconds": outcome.card["seconds"],
        "line_width": float(model.width_scale),
        "line_width_truth": case.twist.defects.line_spread,
    }
    content = {"digest": case.scored, "facts": facts, "methods": scores.jsonable(), "card": outcome.card}
    write_json_atomic(case.folder / "scores.json", content)


def _metrics(scores: Scores) -> Iterator[tuple[str, float]]:
    for method, row in scores.methods.items():
        for key, found in row.items():
            yield f"{method}/{key}", found.value
            yield f"{method}/{key}_error", found.error


def _gathered(config: ProveConfig, cases: Sequence[Case], out: Path) -> dict[str, Any]:
    """Write what all chosen surveys say together, and the page."""
    surveys = {case.name: _stored(case.folder / "scores.json") for case in cases}
    by_scenario: dict[str, list[str]] = {}
    for case in cases:
        by_scenario.setdefault(case.scenario, []).append(case.name)
    whole = {
        "format": FORMAT,
        "config": config.model_dump(mode="json"),
        "scenarios": by_scenario,
        "surveys": {
            name: {key: content[key] for key in ("facts", "methods", "digest")}
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
