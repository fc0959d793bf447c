"""A figure for every giant: observed and theory, and what is left."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from features import Feature
from fit import Fit
from giants import Giant

from synth2obs.core.constants import C_KMS

ROWS, SHIFT = 9, 1.15


def draw(giant: Giant, found: Fit, features: Sequence[Feature], path: Path) -> None:
    """Observed (black), theory (red), their difference above (blue); marks: theory lacks (▲), has too much (▼)."""
    wave, good = giant.wavelength / (1.0 + found.rv / C_KMS), giant.ivar > 0
    observed = np.where(good, found.observed, np.nan)
    edges = np.linspace(wave[good][0], wave[good][-1], ROWS + 1)
    figure, axes = plt.subplots(ROWS, 1, figsize=(20, 2.6 * ROWS))
    for axis, low, high in zip(axes, edges[:-1], edges[1:], strict=True):
        part = (wave >= low) & (wave <= high)
        axis.plot(wave[part], observed[part], "k", lw=0.9)
        axis.plot(wave[part], found.model[part], "r", lw=0.7)
        axis.plot(wave[part], (observed - found.model)[part] + SHIFT, "b", lw=0.6)
        for one in (f for f in features if low <= f.wavelength <= high):
            axis.plot(one.wavelength, SHIFT + 0.12, "^g" if one.depth > 0 else "vm", ms=4)
        axis.set(xlim=(low, high), ylim=(0.4, 1.35), ylabel="flux")
    axes[0].set_title(giant.name)
    axes[-1].set_xlabel("rest wavelength in vacuum (Å)")
    figure.tight_layout()
    figure.savefig(path, dpi=75)
    plt.close(figure)
