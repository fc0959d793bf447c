"""The one interactive figure: example stars to zoom into, with plotly's code inside the page."""

import html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.reports.checks import Arrays
from synth2obs.reports.figures import has_examples
from synth2obs.reports.spectrum_figures import WAVELENGTH
from synth2obs.reports.style import COLOURS

CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtonsToRemove": ["sendChartToCloud", "select2d", "lasso2d"],
}
"""Without the button that would send the data to plotly's servers."""

FONT = "Inter, Segoe UI, Helvetica Neue, Arial, sans-serif"

_CURVES = ("observed", "theory", "morph")


def interactive_spectra(arrays: Arrays) -> str:
    """HTML of a figure with every example star behind a menu, or an empty text if there is none.

    The page needs no network: the library is written into it, once.
    """
    if not has_examples(arrays):
        return ""
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(arrays))
    for star in range(len(arrays["example_id"])):
        for trace in _traces(arrays, star):
            figure.add_trace(go.Scatter(visible=star == 0, **trace))
    text: str = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        div_id="interactive-spectra",
        default_height="560px",
        config=CONFIG,
    )
    return text


def _traces(arrays: Arrays, star: int) -> list[dict[str, Any]]:
    wavelength = _short(arrays["wavelength"])
    observed = arrays["example_observed"][star]
    traces = []
    for name in _CURVES:
        flux = arrays[f"example_{name}"][star]
        line = {"color": COLOURS[name], "width": 1.3}
        traces.append({"x": wavelength, "y": _short(flux), "name": name, "line": line, "legendgroup": name})
    for name in _CURVES[1:]:
        residual = 100.0 * (observed - arrays[f"example_{name}"][star])
        line = {"color": COLOURS[name], "width": 1.1}
        extra = {"yaxis": "y2", "showlegend": False, "legendgroup": name}
        traces.append(
            {"x": wavelength, "y": _short(residual), "name": f"{name} residual", "line": line, **extra}
        )
    return traces


def _short(values: NDArray[Any]) -> NDArray[np.float32]:
    # float32 halves what the page carries and is far below the noise.
    return np.asarray(values, np.float32)


def _layout(arrays: Arrays) -> dict[str, Any]:
    grid = {"gridcolor": "#eceef1", "zeroline": False, "linecolor": "#b4bac2"}
    return {
        "template": "none",
        "font": {"family": FONT, "size": 13, "color": COLOURS["ink"]},
        "margin": {"l": 64, "r": 16, "t": 48, "b": 52},
        "hovermode": "x",
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
        "xaxis": _title(WAVELENGTH) | {"anchor": "y2", **grid},
        "yaxis": _title("flux / continuum") | {"domain": [0.34, 1.0], **grid},
        "yaxis2": _title("residual (%)") | {"domain": [0.0, 0.28], **grid, "zeroline": True},
        "updatemenus": [_menu(arrays)],
    }


def _title(text: str) -> dict[str, Any]:
    return {"title": {"text": text, "font": {"size": 13}}}


def _menu(arrays: Arrays) -> dict[str, Any]:
    stars, each = len(arrays["example_id"]), 2 * len(_CURVES) - 1
    buttons = [
        {
            # plotly reads a subset of HTML in labels, links included.
            "label": html.escape(str(arrays["example_id"][star])),
            "method": "update",
            "args": [{"visible": [number // each == star for number in range(each * stars)]}],
        }
        for star in range(stars)
    ]
    place = {"x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    return {"buttons": buttons, "bgcolor": "white", "bordercolor": "#cfd5db", "pad": {"b": 4}, **place}
