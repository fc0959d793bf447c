"""What a training's run becomes when its work ends early: KILLED by a person, FAILED by an error, never open."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from synth2obs.core.errors import Interrupted, OutputError, Synth2ObsError
from synth2obs.core.files import folder_lock
from synth2obs.training.signals import signals_wait
from synth2obs.training.tracking.left_open import end_left_open


class Closable(Protocol):
    """Something that ends with an MLflow status."""

    def close(self, status: str) -> None:
        """End it: FINISHED, FAILED or KILLED."""


@contextmanager
def closed_on_error(tracker: Closable, stopped: str) -> Iterator[None]:
    """Close a tracker if the block ends early; after its normal end it is still open.

    Args:
        tracker: Open tracker.
        stopped: What an interruption tells the user.

    Raises:
        Interrupted: In place of a `KeyboardInterrupt`; other exceptions of the block pass unchanged.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as reason:
        _close(tracker, "KILLED", reason)
        if isinstance(reason, Interrupted):
            raise
        raise interrupted(stopped, reason) from None
    except BaseException as error:
        _close(tracker, "FAILED", error)
        raise


@contextmanager
def nothing_left_open(out: Path, store: str | Path | None = None) -> Iterator[None]:
    """End as KILLED what an interruption of the block left open, at whatever moment it came.

    Args:
        out: Folder of the training.
        store: Of its runs; ``<out>/mlflow`` if left out.
    """
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as reason:
        with signals_wait():
            try:
                with only_process(out):
                    end_left_open(out, store)
            except Synth2ObsError as error:
                reason.add_note(f"the run could not be ended as KILLED: {error}")
        raise


def only_process(folder: Path) -> AbstractContextManager[None]:
    """Hold a training's folder.

    Raises:
        OutputError: If another process trains in it.
    """
    told = f"{folder}: another process is training here; wait for it or choose another folder"
    return folder_lock(folder, ".training.lock", OutputError(told))


def interrupted(text: str, reason: KeyboardInterrupt) -> Interrupted:
    """What a person is told of an interruption, by its signal."""
    told = Interrupted(text)
    if reason.args and isinstance(reason.args[0], int):
        told.number = reason.args[0]
    return told


def _close(tracker: Closable, status: str, reason: BaseException) -> None:
    """Close, but let the reason for it be what the user sees."""
    try:
        with signals_wait():
            tracker.close(status)
    except Exception as error:
        reason.add_note(f"the tracker could not be closed as {status}: {error}")
