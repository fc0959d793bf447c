"""The figures of a proof: the gap that was found beside the true one, and biases against drift."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from synth2obs.reports.proof_tables import TITLES
from synth2obs.reports.results import LABELS, METHODS, measured
from synth2obs.reports.style import COLOURS, in_house_style, new_figure

Arrays = Mapping[str, NDArray[Any]]

SHOWN = ("cycle", "constant_residual", "linear_residual", "morph")
"""Methods whose gaps are drawn, the last on top."""


def gaps(arrays: Arrays) -> Figure | None:
    """The true gap, mean over held-out stars, and what methods find beyond it, where lines are missing."""
    found = [method for method in SHOWN if f"{method}_gap" in arrays]
    if not found or "true_gap" not in arrays or not arrays["true_gap"].size:
        return None
    wavelength, pixels = arrays["wavelength"], arrays["true_gap_wavelength"]
    true = 100 * np.interp(wavelength, pixels, arrays["true_gap"], left=np.nan, right=np.nan)
    with in_house_style():
        figure = new_figure(4.6)
        upper, lower = figure.subplots(2, 1, sharex=True)
        upper.plot(wavelength, true, color=COLOURS["observed"], lw=0.7, label="true", rasterized=True)
        for method in found:
            wrong = 100 * arrays[f"{method}_gap"] - true
            lower.plot(
                wavelength, wrong, color=COLOURS[method], lw=0.7, label=TITLES[method], rasterized=True
            )
        upper.set_ylabel("true gap (%)")
        lower.set_ylabel("found − true (%)")
        lower.set_xlabel("vacuum wavelength (Å)")
        lower.set_xlim(pixels[0], pixels[-1])
        lower.legend(loc="upper right", ncols=len(found))
    return figure


def drifts(at: Sequence[float], surveys: Sequence[Mapping[str, Any]]) -> Figure:
    """Bias of each label against drift, by method."""
    with in_house_style():
        figure = new_figure(3.2)
        panels = figure.subplots(1, len(LABELS))
        for axes, (label, (title, unit, _)) in zip(panels, LABELS.items(), strict=True):
            for method in (method for method in surveys[0] if method in METHODS):
                values = [_number(survey, method, label, "value") for survey in surveys]
                errors = [_number(survey, method, label, "error") for survey in surveys]
                axes.errorbar(
                    at,
                    values,
                    errors,
                    color=COLOURS[method],
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


FALLING: dict[str, tuple[str, float]] = {
    "gap_explained": ("gap explained (%)", 100.0),
    "held_wavelengths": ("where labels did not look (%)", 100.0),
    "depth_ratio_whole": ("difference / true depth", 1.0),
    "teff_scatter": ("Teff scatter (K)", 1.0),
    "logg_scatter": ("log g scatter (dex)", 1.0),
    "fe_h_bias": ("[Fe/H] bias (dex)", 1.0),
}
"""Scores that are drawn against the number of stars: title and factor."""

COLUMNS = 3

RANGE = {"gap_explained": (-20.0, 105.0), "held_wavelengths": (-20.0, 105.0)}
"""Shares below this say no more than that a method fails."""


def counts(stars: Sequence[int], surveys: Sequence[Mapping[str, Any]]) -> Figure:
    """Scores against the number of stars that train, by method, with standard errors."""
    with in_house_style():
        figure = new_figure(5.6)
        panels = figure.subplots(len(FALLING) // COLUMNS, COLUMNS, sharex=True)
        for axes, (key, (title, scale)) in zip(panels.flat, FALLING.items(), strict=True):
            for method in (method for method in surveys[0] if method in COLOURS):
                values, errors = (
                    [scale * _score(survey, method, key, part) for survey in surveys]
                    for part in ("value", "error")
                )
                axes.errorbar(
                    stars, values, errors, color=COLOURS[method], label=TITLES[method], marker="o", ms=3
                )
            axes.set_xscale("log")
            axes.set_xticks(stars, [str(count) for count in stars])
            axes.minorticks_off()
            axes.set_title(title)
            axes.set_ylim(*RANGE.get(key, (None, None)))
        for axes in panels[-1]:
            axes.set_xlabel("stars that train")
        handles, names = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4)
    return figure


def _score(survey: Mapping[str, Any], method: str, key: str, part: str) -> float:
    found = measured(survey, method, key, part)
    return float("nan") if found is None else found


def _number(survey: Mapping[str, Any], method: str, label: str, part: str) -> float:
    return _score(survey, method, f"{label}_bias", part)
