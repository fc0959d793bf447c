"""Ctrl-C and SIGTERM for the time of a command: each ends it, whatever library is at work when it comes.

Python raises `KeyboardInterrupt` wherever the main thread happens to be, and some places there lose it: finalisers,
callbacks from C, a look-up that takes any error for an absent attribute. So a signal insists until it is heard.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

PATIENCE = 1.0
"""Seconds after which a signal that nobody handles comes again."""


class Heard:
    """The signals of a command so far; each raises `KeyboardInterrupt` with its number in the main thread."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.over = threading.Event()
        self._main = threading.main_thread().ident or 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        if not self.numbers:
            threading.Thread(target=self._insist, args=(number,), daemon=True).start()
        self.numbers.append(number)
        raise KeyboardInterrupt(number)

    @property
    def code(self) -> int:
        """Exit code by the last of them, Ctrl-C's if there was none."""
        return 128 + (self.numbers[-1] if self.numbers else signal.SIGINT)

    def _insist(self, number: int) -> None:
        while not self.over.wait(PATIENCE):
            if not self._handled():
                os.kill(os.getpid(), number)

    def _handled(self) -> bool:
        """Whether the main thread is at work on an interruption: it cleans up, or tells of it."""
        found = sys._current_exceptions().get(self._main)
        # Python 3.11 gives a triple, later ones the exception.
        error: BaseException | None = found[1] if isinstance(found, tuple) else found
        while error is not None:
            if isinstance(error, KeyboardInterrupt):
                return True
            error = error.__context__
        return False


@contextmanager
def heard() -> Iterator[Heard]:
    """Let SIGINT and SIGTERM interrupt for the time of the block; what ignores a signal goes on ignoring it.

    Outside the main thread, where Python allows no handlers, nothing changes.

    Raises:
        KeyboardInterrupt: By a signal, at the end of the block at the latest.
    """
    signals = Heard()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, signals)
    try:
        yield signals
        if signals.numbers:
            raise KeyboardInterrupt(signals.numbers[-1])
    finally:
        signals.over.set()
        for number, handler in before.items():
            signal.signal(number, handler)
