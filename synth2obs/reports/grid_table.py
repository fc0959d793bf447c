"""What a grid holds, as a terminal shows it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from synth2obs.io.own_grids.facts import GridFacts, LabelFacts

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

BARS = " ▁▂▃▄▅▆▇█"
MEGA = 1e6
NAMED = {
    "linelist": "line list",
    "line_list": "line list",
    "solar_scale": "solar scale",
    "sampling": "computed at",
}
"""Words for keys of the provenance."""

ELSEWHERE = ("medium", "flux_kind", "frame")
"""Keys that are told anyway."""


def print_grid(facts: GridFacts, console: "Console") -> None:
    """Facts line by line, then a table of the labels; without frames where nobody looks at it."""
    for key, value in _lines(facts):
        console.print(f"{key:<18}{value}", soft_wrap=True, markup=False, highlight=False)
    console.print(label_table(facts, framed=console.is_terminal))


def label_table(facts: GridFacts, *, framed: bool) -> "Table":
    """A row for each label: unit, range, median, number of values, distribution.

    Args:
        facts: Of a grid.
        framed: Whether there is a rule below the headings.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD if framed else None, pad_edge=False)
    table.add_column("label", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for title in ("least", "median", "greatest", "values"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("distribution", no_wrap=True)
    for label in facts.labels:
        table.add_row(label.name, label.unit, *_numbers(label), _bars(label))
    return table


def _numbers(label: LabelFacts) -> tuple[str, ...]:
    digits = 0 if label.unit == "K" else 2
    range_ = (f"{value:.{digits}f}" for value in (label.lower, label.median, label.upper))
    return (*range_, str(label.distinct))


def _bars(label: LabelFacts) -> str:
    """A bar for each bin, the fullest one highest; any spectrum shows."""
    if label.distinct == 1:
        return "constant"
    heights = np.ceil(label.counts / label.counts.max() * (len(BARS) - 1)).astype(int)
    return "".join(BARS[height] for height in heights)


def _lines(facts: GridFacts) -> Iterator[tuple[str, str]]:
    yield (
        "grid",
        f"{facts.domain}, {facts.spectra} spectra of {facts.pixels} pixels, {len(facts.labels)} labels",
    )
    yield "file", f"{facts.path}, {facts.bytes / MEGA:.1f} MB, made of {facts.sources or 'unknown'} file(s)"
    yield "wavelength (Å)", ", ".join(f"{low:.2f} to {high:.2f}" for low, high in facts.bands) + " (vacuum)"
    yield "given in", facts.medium
    yield "sampling", "not uniform" if facts.step is None else f"uniform in ln λ, step {facts.step:.6g}"
    yield "resolving power", _range(facts.resolving_power)
    yield "flux", facts.flux_kind
    for key, value in facts.theory.items():
        if key not in ELSEWHERE:
            yield NAMED.get(key, key), value
    if "solar_scale" not in facts.theory:
        yield "solar scale", "not said"
    yield "gradients", _gradients(facts)
    yield "licence", facts.licence or "not said"
    for line in facts.citation or ("not said",):
        yield "citation", line


def _range(power: tuple[float, float]) -> str:
    low, high = power
    return f"{low:.0f}" if high - low < 1e-3 * low else f"{low:.0f} to {high:.0f}"


def _gradients(facts: GridFacts) -> str:
    if not facts.gradients:
        return "none"
    return f"at {max(facts.gradients.values())} points for {', '.join(facts.gradients)}"
