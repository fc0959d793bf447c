"""Figures of labels: the latents that carry them, and how well they are recovered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import fixed
from synth2obs.reports.results import (
    LABELS,
    Metrics,
    bias_and_scatter,
    has,
    lookup,
    measured,
)
from synth2obs.reports.style import COLOURS, dense, new_figure, note, robust_limits

_MODELS = ("theory", "morph")
_PULLED = {"morph": ("morph", "morph", 0.55), "weighted": ("theory, weighted", "theory", 1.0)}
"""Arrays of labels whose pulls are drawn: title, colour, opacity (below 1: filled)."""

_DOTS: dict[str, dict[str, Any]] = {
    "theory": {"mfc": "none", "mew": 0.8},
    "morph": {"mec": "none", "alpha": 0.75},
}


def latents(arrays: Arrays) -> Figure | None:
    """First two principal components of the latents, coloured by each label, over the grid in grey."""
    if not has(arrays, "latent_2d"):
        return None
    figure = new_figure(3.7)
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for axes, column in zip(panels, range(3), strict=True):
        _latent_panel(figure, axes, arrays, column)
    panels[0].set_ylabel("second principal component")
    return figure


def label_recovery(metrics: Metrics, arrays: Arrays, survey: str) -> Figure | None:
    """Fitted against literature labels, and the differences before and after the morph."""
    if not has(arrays, "labels_true") or not (has(arrays, "labels_theory") or has(arrays, "labels_morph")):
        return None
    figure = new_figure(7.4)
    panels = figure.subplots(3, 3, sharex="col", height_ratios=[2.3, 1.0, 1.0])
    for column, label in enumerate(LABELS):
        recovery = {m: lookup(metrics, "surveys", survey, "label_recovery", m, label) for m in _MODELS}
        _label_column(panels[:, column], arrays, column, recovery)
    # Hot stars stand to the left, as in a Kiel diagram.
    teff = list(LABELS).index("teff")
    panels[2, teff].invert_xaxis()
    panels[0, teff].invert_yaxis()
    panels[0, 0].legend(loc="lower right")
    return figure


def pulls(arrays: Arrays) -> Figure | None:
    """Fitted minus literature over the errors of both, a panel a label, beside a normal distribution."""
    if not has(arrays, "labels_true", "labels_true_error", "labels_morph_error"):
        return None
    figure = new_figure(2.9)
    panels = figure.subplots(1, 3, sharey=True)
    for axes, column in zip(panels, range(3), strict=True):
        _pull_panel(axes, arrays, column)
    panels[0].set_ylabel("stars per half a unit")
    panels[0].legend(loc="upper left", fontsize=8)
    return figure


def _pull_panel(axes: Axes, arrays: Arrays, column: int) -> None:
    edges, total = np.linspace(-6.0, 6.0, 25), 0
    for model, (title, colour, alpha) in _PULLED.items():
        if f"labels_{model}" in arrays and f"labels_{model}_error" in arrays:
            pull = _pulls(arrays, model, column)
            total = max(total, pull.size)
            counts, _ = np.histogram(np.clip(pull, edges[0], edges[-1]), edges)
            axes.stairs(
                counts, edges, fill=alpha < 1.0, color=COLOURS[colour], alpha=alpha, lw=1.4, label=title
            )
    x = np.linspace(edges[0], edges[-1], 200)
    normal = total * (edges[1] - edges[0]) * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    axes.plot(x, normal, color=COLOURS["observed"], lw=1.0, label="right errors")
    axes.set_xlabel(f"pull of {list(LABELS.values())[column][0]}")
    axes.set_xlim(edges[0], edges[-1])


def _pulls(arrays: Arrays, model: str, column: int) -> NDArray[np.float64]:
    """Finite pulls of a label."""
    difference = (arrays[f"labels_{model}"] - arrays["labels_true"])[:, column]
    error = np.hypot(arrays[f"labels_{model}_error"][:, column], arrays["labels_true_error"][:, column])
    pull = difference / np.where(error > 0, error, np.nan)
    return np.asarray(pull[np.isfinite(pull)], float)


def _label_column(
    panels: NDArray[np.object_], arrays: Arrays, column: int, recovery: Mapping[str, Any]
) -> None:
    """One label: fitted against literature, and the differences of each model below."""
    _one_to_one(panels[0], arrays, column)
    limits = _difference_limits(arrays, column)
    for axes, model in zip(panels[1:], _MODELS, strict=True):
        _difference_panel(axes, arrays, column, model, recovery[model])
        axes.set_ylim(*limits)
    name, unit, _ = list(LABELS.values())[column]
    panels[2].set_xlabel(f"literature {name} ({unit})")
    truth = arrays["labels_true"][:, column]
    if np.isfinite(truth).any():
        panels[2].set_xlim(*robust_limits(truth, reach=100.0, margin=0.06))


def _latent_panel(figure: Figure, axes: Axes, arrays: Arrays, column: int) -> None:
    name, unit, _ = list(LABELS.values())[column]
    if has(arrays, "latent_grid_2d"):
        grid = arrays["latent_grid_2d"]
        axes.plot(grid[:, 0], grid[:, 1], "o", ms=2.2, color="#d5d9de", mec="none", rasterized=True, zorder=1)
    points = arrays["latent_2d"]
    colour = arrays["labels_true"][:, column] if has(arrays, "labels_true") else np.full(len(points), np.nan)
    known = np.isfinite(colour)
    axes.plot(*points[~known].T, "o", ms=3, mfc="none", mec=COLOURS["quiet"], mew=0.6, zorder=2)
    if not known.any():
        axes.set_title(f"{name} unknown")
    else:
        _coloured(figure, axes, points[known], colour[known], f"{name} ({unit})")
    axes.set_xlabel("first principal component")


def _coloured(
    figure: Figure, axes: Axes, points: NDArray[np.float64], colour: NDArray[np.float64], title: str
) -> None:
    """Points by colour, with a bar above."""
    low, high = robust_limits(colour, reach=98.0, margin=0.0)
    dots = axes.scatter(points[:, 0], points[:, 1], c=colour, s=15, vmin=low, vmax=high, lw=0, zorder=3)
    bar = figure.colorbar(dots, ax=axes, location="top", aspect=32, pad=0.02, ticks=MaxNLocator(5))
    bar.set_label(title)
    bar.outline.set_visible(False)


def _one_to_one(axes: Axes, arrays: Arrays, column: int) -> None:
    truth = arrays["labels_true"][:, column]
    name, unit, _ = list(LABELS.values())[column]
    for model in _MODELS:
        if not has(arrays, f"labels_{model}"):
            continue
        fitted = arrays[f"labels_{model}"][:, column]
        if model == "morph" and "labels_morph_error" in arrays:
            error = np.abs(arrays["labels_morph_error"][:, column])
            axes.errorbar(truth, fitted, yerr=error, fmt="none", ecolor="#b9cfe8", lw=0.7, zorder=1)
        style = _DOTS[model] | {"ms": 4, "color": COLOURS[model], "rasterized": dense(truth)}
        axes.plot(truth, fitted, "o", label=model, zorder=2, **style)
    ends = robust_limits(truth, reach=100.0, margin=0.06)
    axes.plot(ends, ends, color=COLOURS["observed"], lw=0.9, zorder=3)
    axes.set_ylim(*ends)
    axes.set_ylabel(f"fitted {name} ({unit})")


def _difference_limits(arrays: Arrays, column: int) -> tuple[float, float]:
    tables = [arrays[f"labels_{m}"] for m in _MODELS if has(arrays, f"labels_{m}")]
    differences = np.concatenate([t[:, column] - arrays["labels_true"][:, column] for t in tables])
    reach = max(map(abs, robust_limits(differences, reach=97.0, margin=0.3)))
    return -reach, reach


def _difference_panel(axes: Axes, arrays: Arrays, column: int, model: str, recovery: Any) -> None:
    _, unit, digits = list(LABELS.values())[column]
    axes.axhline(0.0, color=COLOURS["observed"], lw=0.9)
    axes.set_ylabel(f"{model} −\nliterature" if column == 0 else "")
    if not has(arrays, f"labels_{model}"):
        return
    truth = arrays["labels_true"][:, column]
    difference = arrays[f"labels_{model}"][:, column] - truth
    bias, scatter = measured(recovery, "bias"), measured(recovery, "scatter")
    if bias is None or scatter is None:
        bias, scatter = bias_and_scatter(difference)
    axes.plot(
        truth, difference, "o", ms=3.5, color=COLOURS[model], alpha=0.7, mec="none", rasterized=dense(truth)
    )
    if bias is not None and scatter is not None:
        axes.axhline(bias, color=COLOURS[model], lw=1.2, ls=(0, (4, 2)))
        note(axes, f"bias {fixed(bias, digits, sign=True)}, scatter {fixed(scatter, digits)} {unit}")
