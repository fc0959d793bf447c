"""Time and memory against the number of stars and of pixels, with the straight line that fits best."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.memory import peak_memory
from benchmarks.observed import prepare
from benchmarks.peers import quiet
from benchmarks.report import Column, Table
from benchmarks.scenes import VELOCITY, make_scene
from benchmarks.tables import Setting, seconds, threads_limited
from benchmarks.timing import timed
from benchmarks.worlds import QUICK, SURVEY, Size, World, make_world
from synth2obs.physics import Instrument

Run = Callable[[], object]
Points = list[dict[str, float | None]]

STARS = {
    "operator": (8, 16, 32, 64, 128, 256),
    "generate": (8, 16, 32, 64, 128, 256),
    "encode": (8, 16, 32, 64, 128),
}
QUICK_STARS = dict.fromkeys(STARS, (1, 2, 4))
PIXELS, QUICK_PIXELS = (1000, 2000, 4000, 6000, 8575), (100, 150, 200)
FIXED, QUICK_FIXED = 32, 2
"""Stars while the pixels are counted."""

SAMPLES = 65_536
"""Rest samples of the operator over all pixels of the survey; fewer pixels have fewer, at the same spacing."""

NOTE = (
    "One line per task and axis: time and peak memory of a call after the first, its result included, over the sizes "
    "named; the slope of the straight line that fits best, the largest distance of a point from it as a share of the "
    "largest point, and the power of the size that fits best: 1 is linear, less is better than that. The rest grid has "
    "the same spacing for every number of pixels."
)
COLUMNS = (
    Column("task", "task"),
    Column("axis", "against"),
    Column("sizes", "from – to"),
    Column("time_slope", "ms each", "number"),
    Column("time_residual", "off the line", "ratio"),
    Column("time_power", "power", "ratio"),
    Column("memory_slope", "MiB each", "number"),
    Column("memory_residual", "off the line", "ratio"),
    Column("memory_power", "power", "ratio"),
)


def measure(setting: Setting) -> Table:
    """The table, on the first number of threads."""
    rows = []
    with quiet(), threads_limited(setting.threads[0]):
        stars, fixed = (QUICK_STARS, QUICK_FIXED) if setting.quick else (STARS, FIXED)
        for task, counts in stars.items():
            pixels = (QUICK_PIXELS if setting.quick else PIXELS)[-1]
            runs = _tasks(task, pixels, counts, setting.quick)
            rows.append({"task": task, "axis": "stars", **_line(runs, setting)})
            runs = (
                (count, run)
                for count in (QUICK_PIXELS if setting.quick else PIXELS)
                for _, run in _tasks(task, count, (fixed,), setting.quick)
            )
            rows.append({"task": task, "axis": "pixels", **_line(runs, setting)})
    facts = {"threads": setting.threads[0], "stars for the pixels": fixed}
    return Table("Cost against size", NOTE, COLUMNS, rows, facts)


def _line(runs: Iterator[tuple[int, Run]], setting: Setting) -> dict[str, Any]:
    """Measure all sizes, and fit a line through time and through memory."""
    points: Points = []
    for size, run in runs:
        timing = timed(run, setting.repeats, setting.limit)
        memory = peak_memory(run)
        spent = 1e3 * seconds(timing, setting.threads[0])
        points.append({"size": size, "ms": spent, "wall_ms": 1e3 * timing.wall, "MiB": memory})
    sizes = [float(point["size"] or 0) for point in points]
    row: dict[str, Any] = {"points": points, "sizes": f"{points[0]['size']} – {points[-1]['size']}"}
    for name, key in (("time", "ms"), ("memory", "MiB")):
        values = [point[key] for point in points]
        if None not in values:
            slope, residual, power = straight(sizes, [float(value or 0.0) for value in values])
            row |= {f"{name}_slope": slope, f"{name}_residual": residual, f"{name}_power": power}
    return row


def straight(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float | None]:
    """The best straight line through points, and the best power law.

    Returns:
        Slope of the line, its largest distance from a point over the largest point, and the power (None where a
        value is not positive).
    """
    slope, start = np.polyfit(x, y, 1)
    residual = np.abs(np.asarray(y) - start - slope * np.asarray(x)).max() / max(y)
    power = float(np.polyfit(np.log(x), np.log(y), 1)[0]) if min(y) > 0 else None
    return float(slope), float(residual), power


def _tasks(task: str, pixels: int, counts: Sequence[int], quick: bool) -> Iterator[tuple[int, Run]]:
    """A call for each number of stars."""
    if task == "operator":
        yield from _operator(pixels, counts)
        return
    world = _world(pixels, quick)
    yield from (_generate if task == "generate" else _encode)(world, counts)


def _operator(pixels: int, counts: Sequence[int]) -> Iterator[tuple[int, Run]]:
    scene = make_scene("apogee", _samples(pixels, SAMPLES), pixels=pixels)
    instrument = ours.operator(scene, torch.device("cpu"))
    for count in counts:
        flux = torch.rand(count, len(scene.rest))
        rv = torch.linspace(-VELOCITY, VELOCITY, count, dtype=torch.float64)
        yield count, partial(_native, instrument, flux, rv)


@torch.no_grad()
def _native(instrument: Instrument, flux: Tensor, rv: Tensor) -> Tensor:
    found: Tensor = instrument(flux, rv)
    return found


def _world(pixels: int, quick: bool) -> World:
    size = replace(QUICK, scene="apogee") if quick else Size()
    return make_world(replace(size, pixels=pixels, samples=_samples(pixels, Size.samples)))


def _samples(pixels: int, whole: int) -> int:
    """Rest samples that keep the spacing which ``whole`` samples have over all of the survey."""
    span = [np.ptp(np.log(make_scene("apogee", 2, pixels=count).rest)) for count in (pixels, None)]
    return round(whole * float(span[0] / span[1]))


def _generate(world: World, counts: Sequence[int]) -> Iterator[tuple[int, Run]]:
    labels = world.labels(max(counts))
    rv = np.linspace(-VELOCITY, VELOCITY, max(counts))
    for count in counts:
        yield count, partial(ours.generate, world.bridge, labels[:count], rv[:count], SURVEY)


def _encode(world: World, counts: Sequence[int]) -> Iterator[tuple[int, Run]]:
    seen = ours.observation(world.bridge, SURVEY, prepare(world, max(counts)).spectra)
    for count in counts:
        yield count, partial(ours.encode, world.bridge, seen.take(torch.arange(count)))


def plot(table: Table, path: Path) -> None:
    """Time and memory against stars and pixels, one panel each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 2)
    for column, axis in enumerate(("stars", "pixels")):
        for line, (key, label) in enumerate((("ms", "time, ms"), ("MiB", "peak memory, MiB"))):
            panel = axes[line, column]
            for row in (row for row in table.rows if row["axis"] == axis):
                points = [(point["size"], point[key]) for point in row["points"] if point[key]]
                if points:
                    panel.loglog(*zip(*points, strict=True), "o-", label=row["task"])
            panel.set_xlabel(f"number of {axis}")
            panel.set_ylabel(label)
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.grid(alpha=0.3)
    axes[0, 0].legend()
    FigureCanvasAgg(figure).print_png(path)
