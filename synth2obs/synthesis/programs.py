"""External programs: run with a limit of time, and never left behind."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from threading import Event, Lock

from synth2obs.synthesis.engine import SynthesisError

TAIL = 400
"""Characters of a program's last words that a message shows."""

_running: set["subprocess.Popen[str]"] = set()
_lock = Lock()
_stopped: ContextVar[Event | None] = ContextVar("stopped", default=None)


@contextmanager
def stoppable() -> Iterator[None]:
    """A block in which `stop` is heeded; afterwards programs may start again.

    Threads that run programs for the block do so in a copy of its context, so that one that comes late, when the block
    has been left, still knows that it was stopped.
    """
    token = _stopped.set(Event())
    try:
        yield
    finally:
        _stopped.reset(token)


def stop() -> None:
    """End every program that runs, in whichever thread, and start none of the block of `stoppable` any more."""
    if (stopped := _stopped.get()) is not None:
        stopped.set()
    with _lock:
        for process in _running:
            _end(process)


def run(command: list[str], *, text: str, folder: Path, limit: float) -> str:
    """Run a program and return what it printed.

    Args:
        command: Program and arguments.
        text: Its standard input.
        folder: Where it works.
        limit: Seconds that it may take.

    Raises:
        SynthesisError: If it cannot start, fails, or takes too long.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="latin-1",
            start_new_session=True,
        )
    except OSError as error:
        raise SynthesisError(f"{command[0]}: cannot be started ({error.strerror})") from error
    with process, _registered(process):
        # Asked once it is among those that are stopped, so that none slips through.
        if (stopped := _stopped.get()) is not None and stopped.is_set():
            raise SynthesisError(f"{name} was stopped")
        try:
            output, _ = process.communicate(text, timeout=limit)
        except subprocess.TimeoutExpired:
            raise SynthesisError(f"{name} took longer than {limit:g} s and was stopped") from None
    if process.returncode != 0:
        raise SynthesisError(f"{name} ended with code {process.returncode}: {output.strip()[-TAIL:]}")
    return output


@contextmanager
def _registered(process: "subprocess.Popen[str]") -> Iterator[None]:
    """A block in which `stop` knows a program, and after which it does not run."""
    with _lock:
        _running.add(process)
    try:
        yield
    finally:
        with _lock:
            _running.discard(process)
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Stop a program that still runs, with everything it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
