"""Ctrl-C and SIGTERM as a request that is honoured between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from synth2obs.core.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Ctrl-C, and what batch systems send before they kill."""


@dataclass
class StopRequest:
    """Whether someone asked the training to stop, and by which signal."""

    requested: bool = False
    number: int = signal.SIGINT

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first one is remembered, the second one stops at once."""
        if self.requested:
            raise KeyboardInterrupt(number)
        self.requested, self.number = True, number

    def interrupted(self, text: str) -> Interrupted:
        """What is raised between two steps, with the number of the signal."""
        stopped = Interrupted(text)
        stopped.number = self.number
        return stopped


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn signals into a request for the time of the block.

    A step that is cut in its middle leaves weights and optimiser out of step with each other, so
    the signal must wait for its end. Outside the main thread, where Python allows no handlers, the
    request is never set.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Let signals wait until the end of the block, which is short: what closes a run is not cut in its middle."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, lambda number, frame: came.append(number)) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        for number in came[-1:]:
            signal.raise_signal(number)
