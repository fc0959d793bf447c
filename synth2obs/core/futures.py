"""Waiting for work of other threads and processes."""

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import TypeVar

T = TypeVar("T")

PATROL = 0.2
"""Seconds after which a wait looks whether a signal has come: one that comes just before it blocks does not wake it."""


def finished(waiting: Collection[Future[T]]) -> set[Future[T]]:
    """Those that are finished, at least one, of futures of which there is at least one.

    Ctrl-C and requests to end are heeded within `PATROL`, whichever thread the system has told of them.
    """
    while True:
        if done := wait(waiting, timeout=PATROL, return_when=FIRST_COMPLETED).done:
            return done
