"""Figure of a closed loop: scatter and bound, coverage, histograms of the PIT."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import norm
from scores import robust

PIT = ("teff", "logg", "fe_h", "c_fe", "mg_fe", "ca_fe")
BINS = 12


def draw(loops: Mapping[float, Any], path: Path) -> None:
    """Write the figure; ``loops`` are `closed_loop.Loop` by S/N."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    grid = figure.add_gridspec(3, len(PIT), height_ratios=(1.4, 1, 1))
    wide, share = (figure.add_subplot(grid[row, :]) for row in (0, 1))
    for number, (snr, loop) in enumerate(loops.items()):
        _scatter(wide, snr, loop, f"C{number}", 0.2 * number - 0.1)
        _coverage(share, snr, loop, f"C{number}")
        for column, name in enumerate(n for n in PIT if n in loop.names):
            axis = figure.add_subplot(grid[2, column]) if number == 0 else figure.axes[2 + column]
            _pit(axis, name, loop, f"C{number}")
    for axis in (wide, share):
        axis.set_xticks(np.arange(len(loop.names)), loop.names, rotation=90, fontsize=7)
        axis.legend(fontsize=7, ncols=4)
    wide.set(
        yscale="log",
        ylabel="dex, km/s, 1000 K",
        title="scatter (points) and Cramér–Rao bound with priors (lines)",
    )
    share.axhspan(0.60, 0.76, color="0.9", zorder=0)
    share.set(ylabel="|pull| < 1", ylim=(0, 1))
    figure.savefig(path, dpi=70)


def _scatter(axis: Any, snr: float, loop: Any, color: str, shift: float) -> None:
    unit = np.array([1000.0 if name == "teff" else 1.0 for name in loop.names])
    places = np.arange(len(loop.names))
    found = np.array([robust(column) for column in loop.offset.T]) / unit
    bound = np.median(loop.bound, axis=0) / unit
    axis.plot(places + shift, found, "o", color=color, ms=4, label=f"scatter, S/N {snr:.0f}")
    axis.hlines(bound, places - 0.35, places + 0.35, color=color, label="bound")


def _coverage(axis: Any, snr: float, loop: Any, color: str) -> None:
    inside = (np.abs(loop.offset / loop.error) < 1).mean(0)
    axis.plot(inside, "o", color=color, ms=4, label=f"S/N {snr:.0f}")


def _pit(axis: Any, name: str, loop: Any, color: str) -> None:
    column = loop.names.index(name)
    values = norm.cdf(loop.offset[:, column] / loop.error[:, column])
    axis.hist(values, BINS, (0, 1), density=True, histtype="step", color=color)
    axis.axhline(1.0, color="0.6", lw=0.8)
    axis.set(title=name, xlabel="PIT", ylim=(0, 3), yticks=(0, 1, 2, 3))
