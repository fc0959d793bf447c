"""What long work says of itself: lines through `logging`, for whoever has no terminal that shows a bar.

The library logs to ``synth2obs`` and adds no handler but the null one; the command line adds one to standard error.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

LOG = logging.getLogger("synth2obs")

Say = Callable[[str], None]
"""Told what is being done."""

EVERY = 30.0
"""Seconds between two lines about one piece of work."""

BEAT = 1.0
"""Seconds between two looks at the clock while the work itself says nothing."""

Move = Callable[..., None]
"""Takes what is done, how much there is, and a remark."""


class Work:
    """Some work that says how far it is, at most once in `EVERY` seconds.

    Args:
        name: Of the work.
        unit: What it is counted in, e.g. ``steps``.
        done, total: So far, and in all; None if that is unknown.
    """

    def __init__(self, name: str, unit: str = "", done: int = 0, total: int | None = None) -> None:
        self.name, self.unit, self.done, self.total = name, unit, done, total
        self.remark = ""
        self._began = self._said = self._timed = time.monotonic()
        self._start, self._first, self._begun = done, -1, False
        self._lock = threading.Lock()

    def move(self, done: int, total: int | None = None, remark: str = "") -> None:
        """Remember how far it is, and say so if it is time."""
        before, self.done, self.remark = self.done, done, remark
        self.total = self.total if total is None else total
        if self._first < 0:
            self.begin()
            # What was there before took no time.
            self._first, self._timed = done, time.monotonic()
            if done > before + 1:
                LOG.info("%s: %d of %d %s were there", self.name, done, self.total, self.unit)
        self.tell()

    def tell(self) -> None:
        """Say how far it is if the last line is `EVERY` seconds old."""
        with self._lock:
            if time.monotonic() - self._said < EVERY:
                return
            self._said = time.monotonic()
        LOG.info("%s", self.line())

    def line(self) -> str:
        """How far it is, what it remarks, and the time that is left at the speed so far."""
        spent = time.monotonic() - self._began
        if self.total is None or self.done >= self.total:
            return f"{self.name}: {clock(spent)} so far"
        parts = [f"{self.name}: {self.done} of {self.total} {self.unit}".rstrip(), self.remark]
        if 0 <= self._first < self.done:
            pace = (time.monotonic() - self._timed) / (self.done - self._first)
            left = pace * (self.total - self.done)
            parts.append(f"{clock(left)} left")
        return ", ".join(part for part in parts if part)

    def begin(self) -> None:
        """Say what is about to begin, or to go on, once."""
        if self._begun:
            return
        self._begun = True
        much = "" if self.total is None else f" {self.total} {self.unit}".rstrip()
        if self._start:
            LOG.info("%s: goes on after %d of%s", self.name, self._start, much)
        else:
            LOG.info("%s:%s", self.name, much or " begins")

    def end(self) -> None:
        """Say that it is done, and how long that took, if it ever began."""
        if self._begun:
            LOG.info("%s: done in %s", self.name, clock(time.monotonic() - self._began))


@contextmanager
def told(
    name: str, unit: str = "", done: int = 0, total: int | None = None, *, beat: bool = True
) -> Iterator[Move]:
    """A line where some work begins and ends, and one every `EVERY` seconds between.

    Args:
        name, unit, done, total: As of `Work`.
        beat: Look at the clock beside the work, for steps that take longer; not where the work forks processes.
            Without, the first line comes with the first move: what is refused before is not said to begin.

    Yields:
        Takes what is done, how much there is, and a remark.
    """
    work, over = Work(name, unit, done, total), threading.Event()
    if not LOG.isEnabledFor(logging.INFO):
        yield work.move
        return
    watch = threading.Thread(target=_beat, args=(work, over), daemon=True)
    if beat:
        work.begin()
        watch.start()
    try:
        yield work.move
    finally:
        over.set()
        if beat:
            watch.join()
    work.end()


def _beat(work: Work, over: threading.Event) -> None:
    while not over.wait(BEAT):
        work.tell()


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, ``0:01:20``."""
    return str(timedelta(seconds=round(seconds)))
