"""One look for every figure, in pages and in notebooks: colours and type. Loaded by what draws, and by nothing else."""

import io
from typing import Any

import matplotlib
from matplotlib.figure import Figure as Figure

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


class Drawn(Figure):
    """A figure that a notebook shows, whether or not pyplot was ever imported."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with in_house_style():
            self.savefig(buffer, format="png", dpi=RC["figure.dpi"])
        return buffer.getvalue()


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure that lays itself out, in inches; no global state is touched."""
    return Drawn(figsize=(width, height), layout="constrained")


def in_house_style() -> Any:
    """Context in which every figure is drawn and written."""
    return matplotlib.rc_context(RC)
