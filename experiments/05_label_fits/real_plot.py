"""Labels of real stars against those of others."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

NAMES = ("Teff (K)", "log g", "[Fe/H]")
REACH = (600.0, 1.5, 0.8)

Floats = NDArray[np.floating]


def draw(sets: Mapping[str, tuple[Floats, Floats, Floats]], path: Path) -> None:
    """Write the figure: others' labels against fitted minus others', with quoted errors; a row a set."""
    figure = Figure(figsize=(10, 1.9 * len(sets)), layout="constrained")
    axes = figure.subplots(len(sets), 3, squeeze=False, sharex="col")
    for row, (title, (other, own, error)) in zip(axes, sets.items(), strict=True):
        for column, axis in enumerate(row):
            apart = np.clip(own - other, -REACH[column], REACH[column])
            axis.errorbar(
                other[:, column], apart[:, column], error[:, column], fmt=".", ms=3, lw=0.6, color="C0"
            )
            axis.axhline(0, color="0.5", lw=0.8)
            axis.set(ylim=(-1.05 * REACH[column], 1.05 * REACH[column]))
        row[0].set_ylabel(title, fontsize=8)
    for axis, name in zip(axes[0], NAMES, strict=True):
        axis.set_title(f"{name}: fitted − others", fontsize=9)
    for axis, name in zip(axes[-1], NAMES, strict=True):
        axis.set_xlabel(f"{name} by others", fontsize=8)
    figure.savefig(path, dpi=65)
