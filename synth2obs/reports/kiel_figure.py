"""A Kiel diagram: where the stars are, by the literature and by the morph."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from synth2obs.analysis.flags import UNUSABLE
from synth2obs.reports.checks import Arrays
from synth2obs.reports.results import has
from synth2obs.reports.style import COLOURS, dense, new_figure, robust_limits

_TITLES = {"labels_true": "literature", "labels_morph": "fitted with the morph"}


def kiel(arrays: Arrays) -> Figure | None:
    """Log g against Teff coloured by [Fe/H]: literature, and fitted with a line to the literature."""
    shown = [name for name in _TITLES if has(arrays, name)]
    if "labels_morph" not in shown:
        return None
    figure = new_figure(4.6)
    panels = np.atleast_1d(figure.subplots(1, len(shown), sharex=True, sharey=True))
    limits = robust_limits(np.concatenate([arrays[name][:, 2] for name in shown]), reach=98.0, margin=0.0)
    for axes, name in zip(panels, shown, strict=True):
        if name == "labels_morph" and "labels_true" in shown:
            _lines(axes, arrays["labels_true"], arrays["labels_morph"])
        dots = _dots(axes, arrays[name], limits, _usable(arrays))
        axes.set_title(_TITLES[name])
        axes.set_xlabel("Teff (K)")
    panels[0].set_ylabel("log g (dex)")
    panels[0].invert_xaxis()
    panels[0].invert_yaxis()
    bar = figure.colorbar(dots, ax=panels.tolist(), aspect=32, pad=0.02, ticks=MaxNLocator(5))
    bar.set_label("[Fe/H] (dex)")
    bar.outline.set_visible(False)
    return figure


def _usable(arrays: Arrays) -> NDArray[np.bool_]:
    """Stars without a poor fit and without too few pixels, shape (T,)."""
    flags = arrays.get("test_flags", np.zeros(len(arrays["labels_morph"])))
    return np.asarray(np.nan_to_num(flags).astype(int) & UNUSABLE == 0)


def _lines(axes: Axes, start: NDArray[np.float64], end: NDArray[np.float64]) -> None:
    """From where the literature has a star to where the fit has it."""
    both = np.isfinite(start[:, :2]).all(1) & np.isfinite(end[:, :2]).all(1)
    pairs = np.stack([start[both, :2], end[both, :2]], axis=1)
    axes.add_collection(LineCollection(list(pairs), colors=COLOURS["quiet"], linewidths=0.6, zorder=1))


def _dots(
    axes: Axes, labels: NDArray[np.float64], limits: tuple[float, float], usable: NDArray[np.bool_]
) -> PathCollection:
    """Stars by [Fe/H]; crosses are those that a model does not describe."""
    many = dense(labels[:, 0])
    for kind, marker, size in ((~usable, "x", 22), (usable, "o", 17)):
        dots = axes.scatter(
            labels[kind, 0],
            labels[kind, 1],
            c=labels[kind, 2],
            marker=marker,
            s=size,
            vmin=limits[0],
            vmax=limits[1],
            lw=1.0 if marker == "x" else 0,
            rasterized=many,
            zorder=3,
        )
    return dots
