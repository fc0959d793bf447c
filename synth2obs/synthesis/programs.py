"""External programs: run with a limit of time, and never left behind."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from synth2obs.synthesis.engine import SynthesisError

TAIL = 400
"""Characters of a program's last words that a message shows."""


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
    try:
        output, _ = process.communicate(text, timeout=limit)
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"{name} took longer than {limit:g} s and was stopped") from None
    finally:
        _end(process)
    if process.returncode != 0:
        raise SynthesisError(f"{name} ended with code {process.returncode}: {output.strip()[-TAIL:]}")
    return output


def _end(process: subprocess.Popen[str]) -> None:
    """Stop a program that still runs, with everything it has started."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
