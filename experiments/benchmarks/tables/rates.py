"""Rates for several batch sizes, and what is made of them."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.report import Column
from benchmarks.tables import Setting, seconds
from benchmarks.timing import timed

BatchRun = Callable[[int], Callable[[], object]]
"""Prepares a batch of that size, and returns what is timed."""


def rates(
    prepare: BatchRun,
    batches: Sequence[int],
    setting: Setting,
    threads: int,
    *,
    refuse: Callable[[int], str] = lambda batch: "",
    device: str = "cpu",
) -> dict[str, Any]:
    """Stars per second of every batch size, by processor (one thread) and by clock.

    Args:
        prepare: What to time.
        batches: Sizes, increasing.
        setting: Repeats and limit; a size is left out where the one before lets expect more than the limit.
        threads: Of this measurement.
        refuse: Why a size is left out for another reason, or an empty string.
        device: Where it runs.

    Returns:
        ``rate_<batch>`` (a reason in words where it was left out) and ``wall_rate_<batch>``.
    """
    found: dict[str, Any] = {}
    each = 0.0
    for batch in batches:
        reason = refuse(batch) or ("too slow" if each * batch > setting.limit else "")
        if reason:
            found[f"rate_{batch}"] = reason
            continue
        try:
            timing = timed(prepare(batch), setting.repeats, setting.limit)
        except RuntimeError as error:
            if "allocate" not in str(error):
                raise
            # Some convolutions unfold their input on several threads, which no estimate of their memory foresees.
            found[f"rate_{batch}"] = "out of memory"
            continue
        each = timing.wall / batch
        found[f"rate_{batch}"] = batch / seconds(timing, threads, device)
        found[f"wall_rate_{batch}"] = batch / timing.wall
    return found


def best(row: dict[str, Any]) -> float:
    """The highest rate of a row, 0 if it has none."""
    return max((v for k, v in row.items() if k.startswith("rate_") and isinstance(v, float)), default=0.0)


def columns(batches: Sequence[int]) -> list[Column]:
    """One column per batch size."""
    return [Column(f"rate_{batch}", f"B={batch}", "rate") for batch in batches]
