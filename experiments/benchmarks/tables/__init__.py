"""One module per table, each with a function ``measure(setting) -> Table``."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.report import Column
from benchmarks.scenes import SURVEYS
from benchmarks.timing import Timing, timed

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How to measure.

    Args:
        threads: Numbers of threads.
        dtypes: Names of `DTYPES`.
        repeats: Samples per time.
        surveys: Scenes of the operator table.
        device: Of the operator table.
        memory: GiB that the arrays of one call may take.
        limit: Seconds that one timed call may be expected to take, and that the repeats of one may add up to.
        quick: Tiny sizes: a trial of the program, not a measurement.
    """

    threads: tuple[int, ...] = (1,)
    dtypes: tuple[str, ...] = ("float32", "float64")
    repeats: int = 5
    surveys: tuple[str, ...] = ("apogee", "galah", "lamost")
    device: str = "cpu"
    memory: float = 6.0
    limit: float = 20.0
    quick: bool = False

    def __post_init__(self) -> None:
        for name, given, known in (("dtype", self.dtypes, DTYPES), ("surveys", self.surveys, SURVEYS)):
            if unknown := [value for value in given if value not in known]:
                raise ValueError(f"{name} must be among {', '.join(known)}, got {unknown[0]!r}")
        if min(*self.threads, self.repeats) < 1:
            raise ValueError(f"threads and repeats must be >= 1, got {self.threads} and {self.repeats}")


@contextmanager
def threads_limited(count: int) -> Iterator[None]:
    """At most that many threads, for torch and for the libraries below numpy."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        torch.set_num_threads(before)


def each_star(
    calls: Mapping[str, Callable[[], object]], stars: int, setting: Setting
) -> list[dict[str, Any]]:
    """Milliseconds per star of named calls, for all numbers of threads."""
    rows = []
    for threads in setting.threads:
        with threads_limited(threads):
            for name, call in calls.items():
                timing = timed(call, setting.repeats, setting.limit)
                spent, wall = 1e3 * seconds(timing, threads) / stars, 1e3 * timing.wall / stars
                rows.append({"name": name, "threads": threads, "ms": spent, "wall_ms": wall})
    return rows


def star_columns(name: str) -> tuple[Column, ...]:
    """Columns of `each_star`, whose calls are called that."""
    return (
        Column("name", name),
        Column("threads", "threads", "number"),
        Column("ms", "ms per star", "number"),
        Column("wall_ms", "by the clock", "number"),
    )


def seconds(timing: Timing, threads: int, device: str = "cpu") -> float:
    """Seconds that count: of the processor on one thread, which a busy machine hardly changes, else by the clock."""
    return timing.cpu if threads == 1 and device == "cpu" else timing.wall
