"""Figures of single results, in the look of the reports; loaded when one is asked for."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.drawing import COLOURS, Figure, in_house_style, new_figure
from synth2obs.core.errors import DataError

if TYPE_CHECKING:
    from synth2obs.analysis.labels import Latents
    from synth2obs.analysis.latent_lines import LatentLines
    from synth2obs.analysis.morph import Morphed
    from synth2obs.analysis.remeasure import GapMeasurement

Floats = NDArray[Any]

NAMED = 12
"""Lines of a gap whose element is written."""


def plot_morphed(found: "Morphed", star: int, wave: tuple[float, float] | None) -> Figure:
    """One star as theory and the survey see it, and the difference with the gap and its error."""
    _known("star", star, len(found.flux))
    here = _within(found.wavelength, wave)
    x, gap, error = found.wavelength[here], found.gap[star][here], found.gap_error[star][here]
    with in_house_style():
        figure = new_figure(5.0)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        above.plot(x, found.flux_theory[star][here], color=COLOURS["theory"], label="theory")
        above.plot(x, found.flux[star][here], color=COLOURS["morph"], label=found.seen)
        above.set(ylabel="flux / continuum", title=f"star {star}")
        above.legend()
        below.plot(x, found.difference[star][here], color=COLOURS["quiet"], label="difference")
        if found.survey:
            _band(below, x, gap, error, "gap Δ ± σ")
        below.set(xlabel="vacuum wavelength (Å)", ylabel="difference")
        below.legend()
    return figure


def plot_gap(found: "GapMeasurement", wave: tuple[float, float] | None) -> Figure:
    """The gap with its posterior σ, and the names of its strongest lines."""
    here = _within(found.wavelength, wave)
    x = found.wavelength[here]
    with in_house_style():
        figure = new_figure(3.2)
        axes = figure.subplots()
        _band(axes, x, found.gap[here], found.error[here], "gap Δ ± σ")
        inside = [line for line in found.lines if x[0] <= line.wavelength <= x[-1]]
        for line in inside[:NAMED]:
            name = line.element if line.probability > 0.5 else "?"
            side = "top" if line.depth > 0 else "bottom"
            axes.text(line.wavelength, -line.depth, name, ha="center", va=side, fontsize=8)
        axes.set(
            xlabel="rest wavelength (vacuum Å)",
            ylabel="Δ / continuum",
            title=f"gap of {found.stars} stars; below 0 they absorb more than theory",
        )
    return figure


def plot_latents(found: "Latents", first: int, second: int) -> Figure:
    """Two latents of every star with their 1 σ errors, and the circles in which 39 and 86 % of the grid lie."""
    for name, value in (("first", first), ("second", second)):
        _known(name, value, found.mean.shape[1])
    sigma = np.sqrt(np.diagonal(found.covariance, axis1=1, axis2=2))
    with in_house_style():
        figure = new_figure(5.0, 5.5)
        axes = figure.subplots()
        angle = np.linspace(0.0, 2.0 * np.pi, 200)
        for radius in (1.0, 2.0):
            axes.plot(radius * np.cos(angle), radius * np.sin(angle), color=COLOURS["quiet"], lw=0.8)
        axes.errorbar(
            found.mean[:, first],
            found.mean[:, second],
            xerr=sigma[:, first],
            yerr=sigma[:, second],
            fmt="o",
            ms=3,
            lw=0.6,
            color=COLOURS["morph"],
        )
        axes.set(xlabel=f"latent {first}", ylabel=f"latent {second}", title=f"{len(found.mean)} stars")
    return figure


def plot_latent(found: "LatentLines", latent: int) -> Figure:
    """The response of one latent with its strongest lines, and its correlations and partial R²."""
    _known("latent", latent, len(found.response))
    with in_house_style():
        figure = new_figure(5.5)
        above, below = figure.subplots(2, 1, height_ratios=(2, 1))
        above.axhline(0.0, color=COLOURS["ink"], lw=0.6)
        above.plot(found.wavelength, found.response[latent], color=COLOURS["morph"], lw=0.7)
        for line in found.lines[latent]:
            side = "bottom" if line.change > 0 else "top"
            above.text(line.wavelength, line.change, line.name, ha="center", va=side, fontsize=8)
        above.set(xlabel="rest wavelength (vacuum Å)", ylabel="∂flux / ∂latent", title=f"latent {latent}")
        names = (*found.labels, *(f"R² {name}" for name in found.elements))
        values = np.concatenate([found.correlation[latent], found.partial_r2[latent]])
        colours = [COLOURS["morph"]] * len(found.labels) + [COLOURS["theory"]] * len(found.elements)
        below.bar(np.arange(len(names)), values, color=colours)
        below.set_xticks(np.arange(len(names)), names, rotation=90, fontsize=6)
        below.set(ylabel="correlation, partial R²", xlim=(-1, len(names)))
    return figure


def _known(name: str, value: int, size: int) -> None:
    """Refuse a number that is none of so many.

    Raises:
        DataError: Then.
    """
    if not 0 <= value < size:
        raise DataError(f"must be below {size}, got {value}", field=name, remedy="count from 0")


def _within(wavelength: Floats, wave: tuple[float, float] | None) -> Floats:
    """Which pixels are shown.

    Raises:
        DataError: If fewer than two are.
    """
    low, high = (-np.inf, np.inf) if wave is None else wave
    here: Floats = (wavelength >= low) & (wavelength <= high)
    if here.sum() < 2:
        raise DataError(
            f"{low:g} to {high:g} Å has no pixels",
            field="wave",
            remedy=f"stay within {wavelength[0]:.0f} to {wavelength[-1]:.0f} vacuum Å",
        )
    return here


def _band(axes: Any, x: Floats, middle: Floats, sigma: Floats, label: str) -> None:
    axes.axhline(0.0, color=COLOURS["ink"], lw=0.6)
    axes.fill_between(x, middle - sigma, middle + sigma, color=COLOURS["morph"], alpha=0.25, lw=0)
    axes.plot(x, middle, color=COLOURS["morph"], label=label)
