"""The heat map of what latents say of elements."""

import numpy as np
from matplotlib.figure import Figure

from synth2obs.reports.checks import Arrays
from synth2obs.reports.results import has
from synth2obs.reports.style import new_figure, plain

ALL = "all"


def latent_elements(arrays: Arrays) -> Figure | None:
    """Partial R² of every latent with every [X/Fe], and of all latents together."""
    if not has(arrays, "latent_r2", "latent_element_r2") or "latent_elements" not in arrays:
        return None
    table = np.concatenate([arrays["latent_r2"], arrays["latent_element_r2"][None]])
    figure = new_figure(0.9 + 0.19 * len(table))
    axes = figure.subplots()
    shown = axes.pcolormesh(
        np.nan_to_num(table), cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", lw=0.6
    )
    axes.set_yticks(np.arange(len(table)) + 0.5, [*map(str, range(len(table) - 1)), ALL], fontsize=7.5)
    axes.set_xticks(np.arange(table.shape[1]) + 0.5, [plain(str(e)) for e in arrays["latent_elements"]])
    axes.axhline(len(table) - 1, color="#5d6670", lw=1.2)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_ylabel("latent")
    bar = figure.colorbar(shown, ax=axes, aspect=40, pad=0.02)
    bar.set_label("partial R²")
    bar.outline.set_visible(False)
    return figure
