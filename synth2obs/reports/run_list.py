"""Finished runs under some folders, ranked by what they reach."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synth2obs.core.errors import DataError
from synth2obs.reports.console import SHORT, STYLES
from synth2obs.reports.content import DASH, moment
from synth2obs.reports.results import LABELS, Metrics, lookup, measured, read_metrics
from synth2obs.reports.tiles import bias_with_error, percent_with_error
from synth2obs.reports.verdict import ORDER

if TYPE_CHECKING:
    from rich.table import Table

METRICS = "metrics.json"
DEPTH = 3
"""Folders below the given ones that are searched."""

SORTS = ("verdict", "rms", *LABELS, "date")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Args:
        folder: Where its ``metrics.json`` is.
        metrics: What stands there.
    """

    folder: Path
    metrics: Metrics

    @property
    def verdict(self) -> str:
        """PASS, WARN or FAIL; empty if the run was evaluated without thresholds."""
        return str(lookup(self.metrics, "verdict", "status") or "")

    @property
    def started(self) -> str:
        """When the run began, to the minute."""
        return moment(lookup(self.metrics, "run", "started"))

    def mean(self, *keys: str) -> float:
        """Mean size of a number over surveys; infinite where one lacks it."""
        values = [measured(row, *keys) for row in self.metrics["surveys"].values()]
        known = [abs(value) for value in values if value is not None]
        return sum(known) / len(known) if known and len(known) == len(values) else float("inf")


def find_runs(folders: Sequence[Path]) -> list[Run]:
    """Runs in folders and up to three levels below.

    Raises:
        DataError: If there is none, or a ``metrics.json`` cannot be used.
    """
    paths = sorted({path.resolve() for folder in folders for path in _below(folder, DEPTH)})
    if not paths:
        shown = ", ".join(map(str, folders))
        raise DataError(f"no finished run in {shown}", field="folders", remedy="name folders of --out")
    return [Run(path.parent, read_metrics(path)) for path in paths]


def find_run(folder: Path) -> Run:
    """The run of a folder.

    Raises:
        DataError: If it has no ``metrics.json`` that can be used.
    """
    return Run(folder.resolve(), read_metrics(folder / METRICS))


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / METRICS).is_file():
        yield folder / METRICS
    elif depth and folder.is_dir():
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and not inner.is_symlink():
                yield from _below(inner, depth - 1)


def ranked(runs: Sequence[Run], by: str = "verdict") -> list[Run]:
    """The best first: by verdict and then residual, by residual, by the size of a label's bias, or the newest.

    Args:
        runs: Of `find_runs`.
        by: One of `SORTS`; means over surveys.

    Raises:
        DataError: For another word.
    """
    if by not in SORTS:
        raise DataError(f"cannot sort by {by!r}", field="by", remedy=f"choose one of {', '.join(SORTS)}")
    if by == "date":
        return sorted(runs, key=lambda run: str(lookup(run.metrics, "run", "started")), reverse=True)
    if by in LABELS:
        return sorted(runs, key=lambda run: run.mean("label_recovery", "morph", by, "bias"))
    worst = len(ORDER) if by == "verdict" else 0
    return sorted(runs, key=lambda run: (_rank(run) if worst else 0, run.mean("anchored_rms", "morph")))


def _rank(run: Run) -> int:
    return ORDER.index(run.verdict) if run.verdict in ORDER else len(ORDER)


def as_records(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Folder, verdict, start and the morph's numbers of every survey, for programs."""
    return [
        {
            "folder": str(run.folder),
            "verdict": run.verdict or None,
            "started": lookup(run.metrics, "run", "started"),
            "surveys": {
                name: {
                    "anchored_rms": measured(row, "anchored_rms", "morph"),
                    **{
                        f"{label}_bias": measured(row, "label_recovery", "morph", label, "bias")
                        for label in LABELS
                    },
                }
                for name, row in run.metrics["surveys"].items()
            },
        }
        for run in runs
    ]


def run_table(runs: Sequence[Run], base: Path) -> "Table":
    """Runs as a table for a terminal: a row per run and survey.

    Args:
        runs: In order.
        base: Folder that names are relative to.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    caption = "morph: anchored rms, and biases of labels (K, dex)"
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption)
    table.add_column("run, and its surveys", overflow="fold")
    for title in ("verdict", "started"):
        table.add_column(title, no_wrap=True)
    for title in ("rms (%)", *(name for name, _, _ in LABELS.values())):
        table.add_column(title, justify="right", no_wrap=True)
    for run in runs:
        verdict = Text(run.verdict or DASH, style=STYLES.get(run.verdict, ""))
        table.add_row(Text(_name(run.folder, base), style="cyan"), verdict, Text(run.started[:10] or DASH))
        for name, row in run.metrics["surveys"].items():
            table.add_row(Text(f"  {SHORT.get(name, name)}"), "", "", *map(Text, _numbers(row)))
    return table


def _numbers(row: Metrics) -> Iterator[str]:
    yield percent_with_error(row, "anchored_rms", "morph", unit="").replace(" ", "")
    for label in LABELS:
        yield bias_with_error(row, "morph", label).replace(" ", "")


def _name(folder: Path, base: Path) -> str:
    """A folder as seen from another; elsewhere, its last two parts."""
    return str(folder.relative_to(base) if folder.is_relative_to(base) else Path(*folder.parts[-2:]))
