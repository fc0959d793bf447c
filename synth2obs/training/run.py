"""A whole training: data in, trained and tracked bridge out. Evaluation and reports are floors above."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from synth2obs.core.config_io import Setting, flatten, load_config, resolved_toml
from synth2obs.core.files import file_sha256, write_json_atomic
from synth2obs.core.threads import use_threads
from synth2obs.io.embedded import resolve
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import WEIGHTS, save_bundle
from synth2obs.training.build import first_state
from synth2obs.training.closing import closed_on_error
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import load_domains
from synth2obs.training.loop import AT_ONCE, Stage, run_stages
from synth2obs.training.provenance import git_state, package_versions
from synth2obs.training.sizes import sized
from synth2obs.training.stages.anchors import AnchorsStage
from synth2obs.training.stages.base import StageBase
from synth2obs.training.stages.critic import CriticStage
from synth2obs.training.stages.gap import GapStage
from synth2obs.training.stages.labels import LabelsStage
from synth2obs.training.stages.latent import LatentStage
from synth2obs.training.stages.morph import MorphStage
from synth2obs.training.stages.theory import TheoryStage
from synth2obs.training.state import State
from synth2obs.training.tracking.tracker import Tracker

STAGES: tuple[Callable[[State, Any], StageBase], ...] = (
    TheoryStage,
    LatentStage,
    LabelsStage,
    MorphStage,
    GapStage,
    CriticStage,
    AnchorsStage,
)
"""In order; every stage starts from what the one before left, and has the section of its name."""

MAY_CHANGE = ("threads", "checkpoint_every", "evaluation", "thresholds", "model_name")


@dataclass(frozen=True)
class Trained:
    """What a training leaves.

    Args:
        state: Bridge, data and splits in memory.
        config: Settings.
        bundle: Folder of the saved bridge.
        tracker: Open tracker; close it when everything is logged.
        card: What the run was: config, digests, versions, times.
    """

    state: State
    config: TrainConfig
    bundle: Path
    tracker: Tracker
    card: dict[str, Any]


def quickstart_config() -> Path:
    """Configuration of the quick start, part of the package."""
    return Path(str(resources.files("synth2obs") / "data" / "quickstart.toml"))


def read_config(path: str | Path | None, overrides: Sequence[str] = ()) -> TrainConfig:
    """A configuration from TOML and ``key=value`` overrides; the quick start's if no file is given.

    Raises:
        ConfigError: For an unknown key or a value out of range.
    """
    return load_config(TrainConfig, path or quickstart_config(), overrides)


def train(
    config: TrainConfig, out: str | Path, *, progress: bool = True, store: str | Path | None = None
) -> Trained:
    """Run stages A to E, or go on where an earlier call stopped.

    Args:
        config: Settings.
        out: Folder for checkpoints, the bundle and the MLflow store.
        progress: Show progress bars.
        store: Folder of an MLflow store that several trainings share; ``<out>/mlflow`` if left out.

    Raises:
        DataError, ConfigError, OutputError, Interrupted: As the parts do.
    """
    began, folder = time.time(), Path(out)
    use_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    domains = load_domains(config.data, config.seed)
    config = sized(config, domains.grid, tell=progress)
    state = first_state(config, domains)
    tracker = staged(
        state,
        config,
        folder,
        stages_of(config),
        lambda: open_tracker(config, folder, store),
        flatten(config),
        progress,
    )
    with closed_on_error(tracker, AT_ONCE):
        return _outcome(state, config, folder, tracker, began)


def staged(
    state: State,
    config: TrainConfig,
    folder: Path,
    makers: Sequence[Any],
    tracker: Callable[[], Tracker],
    settings: Mapping[str, Setting],
    progress: bool,
    sections: Mapping[str, str] = MappingProxyType({}),
) -> Tracker:
    """Run stages over a state, or go on where an earlier call stopped.

    Args:
        state: What they change.
        config: Settings.
        folder: For checkpoints.
        makers: Classes of the stages, in order.
        tracker: Opens the tracked run.
        settings: Flattened; a resume with others is refused.
        progress: Show progress bars.
        sections: Of settings that have not the name of their stage.

    Returns:
        The open tracker.
    """
    stages: list[Stage | Callable[[], Stage]] = [
        partial(make, state, getattr(config, sections.get(make.name, make.name))) for make in makers
    ]
    opened = run_stages(
        stages,
        folder,
        tracker,
        checkpoint_every=config.checkpoint_every,
        settings=settings,
        may_change=MAY_CHANGE,
        progress=progress,
    )
    assert isinstance(opened, Tracker)
    return opened


def stages_of(config: TrainConfig) -> Sequence[Callable[[State, Any], StageBase]]:
    """Those that a configuration asks for: a critic of no steps and anchors of no table have no stage."""
    wanted = {CriticStage.name: config.critic.steps > 0, AnchorsStage.name: bool(config.anchors.table)}
    return [make for make in STAGES if wanted.get(getattr(make, "name", ""), True)]


def _outcome(state: State, config: TrainConfig, folder: Path, tracker: Tracker, began: float) -> Trained:
    card = run_card(config, began)
    state.bridge.card = card | {"surveys": taught(state)}
    return Trained(state, config, kept(state.bridge, folder, card), tracker, card)


def kept(bridge: Bridge, folder: Path, card: Mapping[str, Any]) -> Path:
    """Write a trained bridge and a run's card into a run's folder; the folder of the bundle."""
    bridge.eval()
    bundle = save_bundle(bridge, folder / "bridge")
    write_json_atomic(folder / "card.json", card)
    return bundle


def taught(state: State) -> dict[str, dict[str, Any]]:
    """Domain of every survey and the stars that taught or stopped it, by which new ones are told from them."""
    return {
        name: {"domain": own.spectra.domain, "stars": own.spectra.star[own.part != "test"].tolist()}
        for name, own in state.domains.surveys.items()
    }


def open_tracker(config: TrainConfig, folder: Path, store: str | Path | None = None) -> Tracker:
    """The tracked run of a training, new or continued; arguments as for `train`."""
    files = {"grid": resolve(config.data.grid)}
    files |= {name: resolve(path) for name, path in config.data.surveys.items()}
    return Tracker.open(
        folder,
        grid=files["grid"].stem,
        surveys=sorted(config.data.surveys),
        settings=flatten(config),
        config_text=resolved_toml(config),
        datasets=files,
        store=store,
    )


def run_card(config: TrainConfig, began: float, base: str | Path | None = None) -> dict[str, Any]:
    """What the run was, for the report and for whoever opens the bundle.

    Args:
        config: Settings.
        began: When, in seconds since 1970.
        base: Folder of the bridge that a survey was added to.
    """
    git = git_state(__file__)
    layers = {f"layer {name}": path for name, path in config.data.layers.items()}
    files = {"grid": config.data.grid, **layers, **config.data.surveys}
    if config.anchors.table:
        files["anchors"] = config.anchors.table
    if base is not None:
        files["bridge"] = str(Path(base) / WEIGHTS)
    return {
        "config": config.model_dump(mode="json"),
        "digests": {name: file_sha256(resolve(path)) for name, path in files.items()},
        "versions": package_versions(),
        "git_commit": git.get("git.commit"),
        "dirty": git["git.dirty"] == "true" if "git.dirty" in git else None,
        "started": datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - began, 1),
        "licence": "BSD-3-Clause (code); data: see synth2obs/data/README.md",
    }
