"""How a figure becomes part of a page, and what figures share beside the look of `core.drawing`."""

import io
import re
from typing import Any
from urllib.parse import quote

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from synth2obs.core.drawing import COLOURS as COLOURS
from synth2obs.core.drawing import RC as RC
from synth2obs.core.drawing import WIDTH as WIDTH
from synth2obs.core.drawing import in_house_style as in_house_style
from synth2obs.core.drawing import new_figure as new_figure
from synth2obs.core.text import visible

_PAGE_FONTS = "'Inter', 'Segoe UI', 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
_DENSE = 3000
_COORDINATES = re.compile(r' (?:d|x|y)="[^"]*"')
_AS_IT_IS = " !$()*+,-./:;=?@_~"
_FINER = re.compile(r"(\.\d\d)\d+")


def dense(values: NDArray[Any]) -> bool:
    """Whether a curve has so many points that pixels are smaller than paths."""
    return values.size > _DENSE


def svg_uri(figure: Figure, name: str) -> str:
    """A figure as a ``data:`` URI of an SVG, the same bytes every time, with coordinates to a hundredth of a point.

    Args:
        figure: What to write.
        name: Salt of the identifiers inside.
    """
    buffer = io.StringIO()
    with matplotlib.rc_context({**RC, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().replace("'DejaVu Sans'", _PAGE_FONTS)
    text = _COORDINATES.sub(lambda found: _FINER.sub(r"\1", found[0]), text)
    # Pictures inside are base64 already, and would grow by a third if they were encoded again.
    return "data:image/svg+xml;charset=utf-8," + quote(re.sub(r"\s*\n\s*", " ", text), safe=_AS_IT_IS)


def note(axes: Axes, text: str, colour: str = COLOURS["ink"], *, x: float = 0.02, y: float = 0.96) -> None:
    """A short remark inside a panel, in axes coordinates, on a translucent ground."""
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}
    axes.text(x, y, text, transform=axes.transAxes, va="top", fontsize=8.5, color=colour, bbox=box)


def plain(text: str) -> str:
    """Text as it is: a dollar sign would switch matplotlib to TeX-like mathematics, and it has no controls to draw."""
    return visible(text).replace("$", r"\$")


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
