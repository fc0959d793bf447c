"""What commands say while they work, on standard error: a bar on a terminal, lines elsewhere."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated

import typer

from synth2obs.core.text import visible
from synth2obs.core.told import LOG, told

Move = Callable[..., None]

HOUR = 3600.0
"""Seconds over which the speed of what takes minutes apiece is averaged."""


class Level(StrEnum):
    """Least grave messages that are shown."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Neither bars nor messages, only errors")]
LogLevel = Annotated[Level, typer.Option("--log-level", help="Least grave messages that are shown")]


class StandardError(logging.Handler):
    """Writes to what is standard error at that moment: a bar puts itself below what is written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        print(visible(self.format(record), "\n"), file=sys.stderr, flush=True)


@contextmanager
def messages(quiet: bool = False, level: Level = Level.info) -> Iterator[bool]:
    """What the library logs goes to standard error for the time of a command.

    Yields:
        Whether bars are wanted.
    """
    handler, before = StandardError(), LOG.level
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    LOG.addHandler(handler)
    LOG.setLevel("ERROR" if quiet else level.upper())
    try:
        yield not quiet
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)


@contextmanager
def bar(
    text: str,
    total: int | None = None,
    *,
    unit: str = "",
    megabytes: bool = False,
    slow: bool = False,
    wanted: bool = True,
) -> Iterator[Move]:
    """A bar with the time that is left, if standard error is a terminal; elsewhere a line now and then.

    Args:
        text: What is being done.
        total: How much there is, if that is known already.
        unit: What is counted.
        megabytes: Show bytes, too.
        slow: The speed is averaged over an hour.
        wanted: Show anything at all.

    Yields:
        Moves it on, given what is done and how much there is, and the bytes if these are shown.
    """
    if not wanted:
        yield lambda done, total, size=0.0: None
    elif sys.stderr.isatty():
        with _on_a_terminal(text, total, megabytes, slow) as move:
            yield move
    else:
        with told(text, unit, total=total, beat=False) as say:
            yield lambda done, total, size=0.0: say(done, total, f"{size / 1e6:.1f} MB" if megabytes else "")


@contextmanager
def _on_a_terminal(text: str, total: int | None, megabytes: bool, slow: bool) -> Iterator[Move]:
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    more = [TextColumn("{task.fields[size]:.1f} MB")] * megabytes
    columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn(), *more)
    console, speed = Console(stderr=True), HOUR if slow else 30.0
    with Progress(*columns, console=console, transient=True, speed_estimate_period=speed) as bars:
        task = bars.add_task(text, total=total, size=0.0)
        yield lambda done, total, size=0.0: bars.update(task, completed=done, total=total, size=size / 1e6)
