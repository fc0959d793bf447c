"""Stages of training that go on after an interruption with the same numbers as without one.

A stage's randomness depends on (seed, stage, step) alone, and its checkpoint holds everything that a
step changes; so step k gives the same result whether or not the process died before it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from synth2obs.core.config_io import Setting, differences, digest
from synth2obs.core.errors import ConfigError, ModelError
from synth2obs.core.files import write_json_atomic
from synth2obs.core.told import LOG
from synth2obs.models.checkpoint import load_tensors, save_tensors
from synth2obs.training.closing import closed_on_error, only_process
from synth2obs.training.progress import Advance, Progress, watch_steps
from synth2obs.training.rounding import rounding, warn_of_other_rounding
from synth2obs.training.signals import StopRequest, stop_on_signals

AT_ONCE = "stopped at once; the same command goes on from the last checkpoint"
"""What a second signal tells the user."""


@runtime_checkable
class Stage(Protocol):
    """A part of the training: optimisation steps, then a closed-form end."""

    @property
    def name(self) -> str:
        """Name of the checkpoint and of the tracked run."""

    @property
    def steps(self) -> int:
        """Number of optimisation steps."""

    def step(self, index: int) -> Mapping[str, float]:
        """Do step ``index`` (from 0) and return its metrics; a ``loss`` among them must be finite.

        What it does depends on the stage's tensors and on ``index`` alone; see `step_generator`.
        """

    def tensors(self) -> Mapping[str, Tensor]:
        """Everything that steps and `finish` change, the optimiser's state included."""

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Go back to a state that `tensors` gave."""

    def finish(self) -> Mapping[str, float]:
        """Do what follows the last step, and return its metrics."""


class StageLog(Protocol):
    """Where metrics go; what was logged at a step is not logged again after a resume."""

    def start_stage(self, name: str) -> None:
        """Begin or continue a stage."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Keep the metrics of one step for the next `flush`."""

    def flush(self) -> None:
        """Write what was kept to the disk."""

    def end_stage(self) -> None:
        """Mark the stage as finished."""

    def close(self, status: str) -> None:
        """End everything with an MLflow status: FINISHED, FAILED or KILLED."""


@dataclass(frozen=True)
class Session:
    """What all stages of one call share: where, to whom, how often."""

    folder: Path
    tracker: StageLog
    checkpoint_every: int
    settings_digest: str
    stop: StopRequest
    progress: Progress

    def checkpoint(self, stage: Stage) -> Path:
        """The stage's file."""
        return self.folder / "checkpoints" / f"{stage.name}.safetensors"


def run_stages(
    stages: Sequence[Stage | Callable[[], Stage]],
    folder: Path,
    tracker: StageLog | Callable[[], StageLog],
    *,
    checkpoint_every: int,
    settings: Mapping[str, Setting] | None = None,
    may_change: Sequence[str] = (),
    progress: bool = True,
) -> StageLog:
    """Run the stages in order, or go on where an earlier call in the same folder stopped.

    A stage that is done is loaded and skipped. Ctrl-C or SIGTERM ends the step, writes a checkpoint,
    closes the tracker as KILLED and raises `Interrupted`; a second one does not wait. After any
    other error in a stage the tracker is closed as FAILED.

    Args:
        stages: Stages, or functions that build one when its turn comes, after those before it.
        folder: Holds ``checkpoints/<stage>.safetensors`` and ``settings.json``.
        tracker: Where the metrics go; or a function that opens it, which is called only when the
            folder is free and was begun with the same settings.
        checkpoint_every: Steps between checkpoints.
        settings: The flattened configuration; a resume with another one is refused.
        may_change: Keys, or sections, of the settings that a resume may change.
        progress: Show a progress bar, if standard error is a terminal; elsewhere lines are logged.

    Returns:
        The tracker, still open.

    Raises:
        Interrupted: After a signal.
        ConfigError: If the folder was begun with other settings, or two stages share a name.
        ModelError: If a loss is not finite, or a checkpoint is damaged.
        OutputError: If the folder cannot be written, or another process trains in it.
    """
    if checkpoint_every < 1:
        raise ConfigError(f"checkpoint_every must be at least 1 step, got {checkpoint_every}")
    fixed = {key: value for key, value in (settings or {}).items() if not _covered(key, may_change)}
    with only_process(folder), stop_on_signals() as stop, watch_steps(progress) as bars:
        _same_settings(folder, fixed)
        _sweep(folder)
        opened = tracker() if callable(tracker) else tracker
        with closed_on_error(opened, AT_ONCE):
            _run_all(stages, Session(folder, opened, checkpoint_every, digest(fixed), stop, bars))
    if stop.requested:
        # It came after the last look: the handlers are back, so the same signal is now raised as it would have been.
        with closed_on_error(opened, AT_ONCE):
            raise stop.interrupted("stopped after the last stage; the same command goes on from there")
    return opened


def _run_all(stages: Sequence[Stage | Callable[[], Stage]], session: Session) -> None:
    names: set[str] = set()
    for item in stages:
        stage = item if isinstance(item, Stage) else item()
        if stage.name in names:
            raise ConfigError(f"two stages are called {stage.name!r}; give each its own name")
        names.add(stage.name)
        _run(stage, session)


def _run(stage: Stage, session: Session) -> None:
    start, done = _resume(stage, session)
    if done:
        LOG.info("%s: done before, loaded from its checkpoint", stage.name)
        _stop_if_asked(stage, session, start)
        return
    session.tracker.start_stage(stage.name)
    with session.progress.stage(stage.name, start, stage.steps) as advance:
        _steps(stage, session, start, advance)
        session.tracker.log(stage.steps, stage.finish())
    _save(stage, session, stage.steps, done=True)
    session.tracker.end_stage()
    _stop_if_asked(stage, session, stage.steps)


def _steps(stage: Stage, session: Session, start: int, advance: Advance) -> None:
    for index in range(start, stage.steps):
        metrics = _finite_loss(stage, index, stage.step(index))
        session.tracker.log(index, metrics)
        advance(metrics)
        last = index + 1 == stage.steps
        if last or session.stop.requested or (index + 1) % session.checkpoint_every == 0:
            _save(stage, session, index + 1)
        _stop_if_asked(stage, session, index + 1)


def _resume(stage: Stage, session: Session) -> tuple[int, bool]:
    """The next step of a stage and whether it is done, after loading its checkpoint if it has one."""
    path = session.checkpoint(stage)
    if not path.exists():
        return 0, False
    tensors, meta = load_tensors(path)
    if meta.get("settings") != session.settings_digest or meta.get("stage") != stage.name:
        raise ConfigError(
            f"{path}: belongs to another configuration; train in a new folder, or delete the checkpoint"
        )
    if meta["step"] > stage.steps:
        raise ConfigError(
            f"{path}: is at step {meta['step']}, but {stage.name} has {stage.steps}; "
            "train in a new folder, or ask for more steps"
        )
    warn_of_other_rounding(stage.name, meta.get("rounding", {}))
    stage.load(tensors)
    return int(meta["step"]), bool(meta["done"])


def _save(stage: Stage, session: Session, step: int, *, done: bool = False) -> None:
    """Metrics first: what a crash between the two repeats is recognised, what it loses is lost."""
    session.tracker.flush()
    meta = {
        "stage": stage.name,
        "step": step,
        "done": done,
        "settings": session.settings_digest,
        "rounding": rounding(),
    }
    save_tensors(session.checkpoint(stage), stage.tensors(), meta)


def _stop_if_asked(stage: Stage, session: Session, step: int) -> None:
    if session.stop.requested:
        raise session.stop.interrupted(
            f"stopped in {stage.name} after step {step} of {stage.steps}; the same command goes on from there"
        )


def _finite_loss(stage: Stage, index: int, metrics: Mapping[str, float]) -> Mapping[str, float]:
    loss = metrics.get("loss", 0.0)
    if not abs(loss) < float("inf"):
        raise ModelError(
            f"{stage.name}: the loss at step {index} is {loss}; the last checkpoint is kept: "
            "lower the learning rate in a new folder, or check the data"
        )
    return metrics


def _covered(key: str, sections: Sequence[str]) -> bool:
    return any(key == section or key.startswith(f"{section}.") for section in sections)


def _same_settings(folder: Path, settings: Mapping[str, Setting]) -> None:
    path = folder / "settings.json"
    if not path.exists():
        write_json_atomic(path, dict(settings))
        return
    changed = differences(_read_settings(path), settings)
    if changed:
        raise ConfigError(
            f"{folder}: was begun with another configuration ({'; '.join(changed)}); "
            "train in a new folder, or undo the change"
        )


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); train in a new folder") from None


def _sweep(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in (folder / "checkpoints").glob(".*.partial.safetensors"):
        leftover.unlink(missing_ok=True)
