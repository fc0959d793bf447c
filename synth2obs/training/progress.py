"""How far a stage is: a bar on a terminal, lines through `logging` elsewhere."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from synth2obs.core.told import told

Advance = Callable[[Mapping[str, float]], None]


class Progress(Protocol):
    """Something that shows how far a stage is."""

    def stage(self, name: str, start: int, steps: int) -> AbstractContextManager[Advance]:
        """Show a stage; the function it gives takes the metrics of each step that is done."""


class Lines:
    """A line where a stage begins and ends, and now and then between, with the terms of its loss."""

    @contextmanager
    def stage(self, name: str, start: int, steps: int) -> Iterator[Advance]:
        """Count the steps, and keep the last metrics for the next line."""
        done = start
        with told(name, "steps", start, steps) as move:

            def advance(metrics: Mapping[str, float]) -> None:
                nonlocal done
                done += 1
                move(done, steps, ", ".join(f"{key} {value:.4g}" for key, value in metrics.items()))

            yield advance


class Bars:
    """One bar per stage on standard error."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars

    @contextmanager
    def stage(self, name: str, start: int, steps: int) -> Iterator[Advance]:
        """Add a bar, with the loss if the stage has one."""
        task = self._bars.add_task(name, total=steps, completed=start, loss="", rate="")

        def advance(metrics: Mapping[str, float]) -> None:
            loss = f"loss {metrics['loss']:.4g}" if "loss" in metrics else ""
            speed = self._bars.tasks[task].speed
            rate = f"{speed:.1f} steps/s" if speed else ""
            self._bars.update(task, advance=1, loss=loss, rate=rate)

        yield advance


@contextmanager
def watch_steps(wanted: bool) -> Iterator[Progress]:
    """Bars if they are wanted and standard error is a terminal, else lines for whoever listens to them."""
    if not (wanted and sys.stderr.isatty()):
        yield Lines()
        return
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[loss]}"),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        yield Bars(bars)
