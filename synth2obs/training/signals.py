"""Ctrl-C and SIGTERM as a request that is honoured between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

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
            raise KeyboardInterrupt
        self.requested, self.number = True, number


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
