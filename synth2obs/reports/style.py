"""One look for every figure: colours, type, and how a figure becomes part of a page."""

import base64
import io
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

COLOURS = {
    "theory": "#d68a3c",
    "theory_weighted": "#e8bf8c",
    "constant_residual": "#b9b3a7",
    "linear_residual": "#5f9177",
    "marginal_alignment": "#a183b5",
    "pretrained": "#c25f6b",
    "cycle": "#7a5c3e",
    "morph": "#2f6db5",
    "observed": "#20242a",
    "quiet": "#9aa3ad",
    "faint": "#e4e7eb",
    "ink": "#2a2f36",
}
"""The same colour for the same thing in every figure, table and console line."""

WIDTH = 10.5
"""Width of a figure in inches; a page shows it at about 100 px per inch."""

RC: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.edgecolor": "#b4bac2",
    "axes.labelcolor": COLOURS["ink"],
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "grid.color": "#eceef1",
    "grid.linewidth": 0.7,
    "xtick.color": "#5d6670",
    "ytick.color": "#5d6670",
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": COLOURS["ink"],
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.0,
    "lines.solid_joinstyle": "round",
    "figure.facecolor": "white",
    "figure.dpi": 100,
    "savefig.dpi": 170,
    "svg.fonttype": "none",
    "image.cmap": "viridis",
}

_PAGE_FONTS = "'Inter', 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_DENSE = 3000


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure that lays itself out, in inches; no global state is touched."""
    return Figure(figsize=(width, height), layout="constrained")


def dense(values: NDArray[Any]) -> bool:
    """Whether a curve has so many points that pixels are smaller than paths."""
    return values.size > _DENSE


def in_house_style() -> Any:
    """Context in which every figure is drawn and written."""
    return matplotlib.rc_context(RC)


def svg_uri(figure: Figure, name: str) -> str:
    """A figure as a ``data:`` URI of an SVG, the same bytes every time.

    Args:
        figure: What to write.
        name: Salt of the identifiers inside.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().replace("'DejaVu Sans'", _PAGE_FONTS)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode()).decode()


def note(axes: Axes, text: str, colour: str = COLOURS["ink"], *, x: float = 0.02, y: float = 0.96) -> None:
    """A short remark inside a panel, in axes coordinates, on a translucent ground."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    axes.text(x, y, text, transform=axes.transAxes, va="top", fontsize=8.5, color=colour, bbox=box)


def plain(text: str) -> str:
    """Text as it is: a dollar sign would switch matplotlib to TeX-like mathematics."""
    return text.replace("$", r"\$")


def robust_limits(values: NDArray[Any], *, reach: float = 99.0, margin: float = 0.15) -> tuple[float, float]:
    """Axis limits that a few outliers cannot stretch: the central percentiles and a margin."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return -1.0, 1.0
    low, high = np.percentile(finite, [100.0 - reach, reach])
    pad = margin * (high - low) or abs(high) * margin or 1e-3
    return float(low - pad), float(high + pad)


def binned_median(x: NDArray[Any], y: NDArray[Any], bins: int = 90) -> tuple[NDArray[Any], NDArray[Any]]:
    """Median of y in equal bins of x, NaN in an empty bin; two arrays of shape (bins,)."""
    edges = np.linspace(float(np.nanmin(x)), float(np.nanmax(x)), bins + 1)
    row = np.clip(np.digitize(x, edges) - 1, 0, bins - 1)
    medians = np.full(bins, np.nan)
    for number in range(bins):
        inside = y[(row == number) & np.isfinite(y)]
        if inside.size:
            medians[number] = np.median(inside)
    return 0.5 * (edges[1:] + edges[:-1]), medians
