"""The figures of a proof: the gap that was found beside the true one, and biases against drift."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from synth2obs.reports.proof_tables import TITLES
from synth2obs.reports.results import LABELS, measured
from synth2obs.reports.style import COLOURS, in_house_style, new_figure

Arrays = Mapping[str, NDArray[Any]]

SHOWN = ("constant_residual", "linear_residual", "morph")
ROWS = 3


def gaps(arrays: Arrays) -> Figure | None:
    """True and found gap, mean over held-out stars, where lines are missing."""
    found = [method for method in SHOWN if f"{method}_gap" in arrays]
    if not found or "true_gap" not in arrays or not arrays["true_gap"].size:
        return None
    wavelength = arrays["wavelength"]
    edges = np.linspace(arrays["true_gap_wavelength"][0], arrays["true_gap_wavelength"][-1], ROWS + 1)
    with in_house_style():
        figure = new_figure(2.1 * ROWS)
        panels = figure.subplots(ROWS, 1)
        for axes, low, high in zip(panels, edges[:-1], edges[1:], strict=True):
            true = arrays["true_gap_wavelength"]
            axes.fill_between(
                true, 100 * arrays["true_gap"], color=COLOURS["faint"], label="true", rasterized=True
            )
            for method in found:
                values = 100 * arrays[f"{method}_gap"]
                axes.plot(
                    wavelength, values, color=COLOURS[method], lw=0.7, label=TITLES[method], rasterized=True
                )
            axes.set_xlim(low, high)
            axes.set_ylabel("gap (%)")
        panels[-1].set_xlabel("vacuum wavelength (Å)")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=len(names))
    return figure


def drifts(at: Sequence[float], surveys: Sequence[Mapping[str, Any]]) -> Figure:
    """Bias of each label against drift, by method."""
    with in_house_style():
        figure = new_figure(3.2)
        panels = figure.subplots(1, len(LABELS))
        for axes, (label, (title, unit, _)) in zip(panels, LABELS.items(), strict=True):
            for method in surveys[0]:
                values = [_number(survey, method, label, "value") for survey in surveys]
                errors = [_number(survey, method, label, "error") for survey in surveys]
                axes.errorbar(
                    at,
                    values,
                    errors,
                    color=COLOURS.get(method, COLOURS["quiet"]),
                    label=TITLES[method],
                    marker="o",
                    ms=3,
                )
            axes.axhline(0.0, color=COLOURS["quiet"], lw=0.7)
            axes.set_xlabel("drift (σ)")
            axes.set_title(f"{title} bias ({unit})")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3)
    return figure


def _number(survey: Mapping[str, Any], method: str, label: str, part: str) -> float:
    found = measured(survey, method, f"{label}_bias", part)
    return float("nan") if found is None else found
