"""Sampled posteriors beside the Gaussian of a fit: one corner a star."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

SHOWN = ("teff", "logg", "fe_h", "mg_fe")
REACH = 3.5


def draw(cases: Mapping[str, Any], path: Path) -> None:
    """Write the figure; ``cases`` are `audit.Sampled` by name. Axes are in quoted errors from the fit."""
    figure = Figure(figsize=(4.6 * len(cases), 4.8), layout="constrained")
    parts = figure.subfigures(1, len(cases), squeeze=False)[0]
    for part, (name, case) in zip(parts, cases.items(), strict=True):
        part.suptitle(f"{name} (axes: quoted errors from the fit)", fontsize=9)
        _corner(part, case)
    figure.savefig(path, dpi=65)


def _corner(part: Any, case: Any) -> None:
    names = [name for name in SHOWN if name in case.names]
    columns = [case.names.index(name) for name in names]
    scaled = ((case.draws - case.mean) / case.error)[:, columns]
    axes = part.subplots(len(names), len(names), sharex=True)
    for row, name in enumerate(names):
        for column in range(len(names)):
            axis = axes[row, column]
            if column > row:
                axis.axis("off")
                continue
            _panel(axis, scaled, row, column)
            axis.set(yticks=[], xticks=(-2, 0, 2), xlim=(-REACH, REACH))
        axes[-1, row].set_xlabel(name, fontsize=8)
        axes[row, 0].set_ylabel(name, fontsize=8)


def _panel(axis: Any, scaled: Any, row: int, column: int) -> None:
    ends = (-REACH, REACH)
    if row == column:
        axis.hist(scaled[:, row], 40, ends, density=True, histtype="stepfilled", color="0.75")
        x = np.linspace(*ends, 100)
        axis.plot(x, np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi), "C3", lw=1)
        return
    axis.hist2d(scaled[:, column], scaled[:, row], 40, (ends, ends), cmap="Greys")
    axis.set_ylim(*ends)
    axis.axhline(0, color="C3", lw=0.6)
    axis.axvline(0, color="C3", lw=0.6)
