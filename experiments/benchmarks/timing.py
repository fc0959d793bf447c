"""Time per call: the median over repeats, after a warm-up, without garbage collection."""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

SHORTEST = 0.02
"""Seconds that one sample lasts at least, by repeating short calls."""


@dataclass(frozen=True)
class Timing:
    """Seconds per call: by the clock, and of all the process's threads together."""

    wall: float
    cpu: float
    repeats: int


def timed(call: Callable[[], object], repeats: int, limit: float = 20.0) -> Timing:
    """Median time of a call.

    Args:
        call: What to time; a call on a GPU is waited for.
        repeats: Samples, fewer (but at least one) where they would take longer than ``limit``.
        limit: Seconds.
    """
    once = _sample(call, 1)
    count = max(1, min(repeats, int(limit / max(once.wall, 1e-9))))
    inner = math.ceil(SHORTEST / max(once.wall, 1e-6)) if once.wall < SHORTEST else 1
    enabled = gc.isenabled()
    gc.disable()
    try:
        samples = [_sample(call, inner) for _ in range(count)]
    finally:
        if enabled:
            gc.enable()
    return Timing(median(s.wall for s in samples), median(s.cpu for s in samples), count)


def _sample(call: Callable[[], object], inner: int) -> Timing:
    _wait()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(inner):
        call()
    _wait()
    return Timing((time.perf_counter() - wall) / inner, (time.process_time() - cpu) / inner, 1)


def _wait() -> None:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
