"""Figures of fits: baselines, chi2 per star, noise, line spread and velocities."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from synth2obs.reports.checks import Arrays
from synth2obs.reports.results import (
    METHODS,
    Metrics,
    has,
    lookup,
    measured,
)
from synth2obs.reports.spectrum_figures import WAVELENGTH
from synth2obs.reports.style import COLOURS, WIDTH, binned_median, dense, new_figure, note, robust_limits

_MODELS = ("theory", "morph")


def baselines(metrics: Metrics, survey: str) -> Figure | None:
    """Anchored rms of every method as a dot plot."""
    table = lookup(metrics, "surveys", survey, "anchored_rms")
    values = {m: v for m in METHODS if (v := measured(table, m)) is not None}
    if len(values) < 2:
        return None
    figure = new_figure(0.55 + 0.36 * len(values))
    axes = figure.subplots()
    errors = lookup(metrics, "surveys", survey, "anchored_rms_error")
    _noise_floor(axes, lookup(metrics, "surveys", survey, "noise_floor"))
    for row, (method, value) in enumerate(values.items()):
        _bar_with_dot(axes, row, 100 * value, 100 * (measured(errors, method) or 0.0), COLOURS[method])
    axes.set_yticks(range(len(values)), [METHODS[m] for m in values])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xlim(0, 125 * max(values.values()))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("anchored rms (% of continuum); shorter is better")
    return figure


def _noise_floor(axes: Axes, floor: Any) -> None:
    """What noise alone leaves, behind the bars: by fitted and by quoted errors."""
    for key, colour in (("fitted", "#eef0f2"), ("quoted", "#d9dde1")):
        value = measured(floor, key)
        if value is not None:
            axes.axvspan(0, 100 * value, color=colour, lw=0, zorder=0, label=f"noise as {key}")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize=8)


def _bar_with_dot(axes: Axes, row: int, value: float, error: float, colour: str) -> None:
    axes.hlines(row, 0, value, color=colour, lw=2.2, alpha=0.45)
    axes.errorbar(value, row, xerr=error or None, fmt="o", ms=8, lw=1.6, color=colour)
    beside: dict[str, Any] = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
    text = f"{value:.2f}" if not error else f"{value:.2f} ± {error:.2f}"
    axes.annotate(text, (value + error, row), **beside)


def chi2_of_stars(arrays: Arrays) -> Figure | None:
    """Chi2 per pixel of every test star: before against after, and against signal to noise."""
    if not has(arrays, "chi2_theory_star", "chi2_morph_star"):
        return None
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2)
    before, after = arrays["chi2_theory_star"], arrays["chi2_morph_star"]
    good = (before > 0) & (after > 0)
    if not good.any():
        return None
    both = np.concatenate([before[good], after[good]])
    limits = (0.8 * float(both.min()), 1.25 * float(both.max()))
    left.plot(before[good], after[good], "o", ms=4, color=COLOURS["morph"], alpha=0.65, mec="none")
    left.plot(limits, limits, color=COLOURS["quiet"], lw=0.9)
    left.set(xscale="log", yscale="log", xlim=limits, ylim=limits, xlabel="χ² per pixel, theory")
    left.set_ylabel("χ² per pixel, morph")
    share = 100.0 * float(np.mean(after[good] < before[good]))
    note(left, f"{share:.0f} % of {int(good.sum())} stars improve")
    _chi2_against_snr(right, arrays, good)
    return figure


def noise_and_line_spread(metrics: Metrics, arrays: Arrays, survey: str) -> Figure | None:
    """Fitted extra scatter, width of the line spread and distortion by wavelength, and fitted velocities."""
    draw = []
    lsf, wavelengths = (lookup(metrics, "surveys", survey, key) for key in ("lsf", "wavelengths"))
    if has(arrays, "wavelength", "scatter"):
        draw.append(lambda axes: _scatter_panel(axes, arrays))
    if _numbers(lookup(lsf, "wavelength")).size > 1:
        draw.append(lambda axes: _line_spread_panel(axes, lsf))
    if _numbers(lookup(wavelengths, "wavelength")).size > 1:
        draw.append(lambda axes: _distortion_panel(axes, wavelengths))
    if has(arrays, "test_rv"):
        draw.append(lambda axes: _velocity_panel(axes, arrays["test_rv"]))
    if not draw:
        return None
    rows, columns = (1, len(draw)) if len(draw) < 4 else (2, 2)
    figure = new_figure(3.1 * rows, WIDTH if len(draw) > 1 else 0.6 * WIDTH)
    for axes, panel in zip(figure.subplots(rows, columns, squeeze=False).flat, draw, strict=True):
        panel(axes)
    return figure


def _numbers(values: Any) -> NDArray[np.float64]:
    """A list that may hold nulls as floats, NaN for null; empty for anything else."""
    return (
        np.array([np.nan if v is None else v for v in values], float)
        if isinstance(values, list)
        else np.empty(0)
    )


def _chi2_against_snr(axes: Axes, arrays: Arrays, good: NDArray[np.bool_]) -> None:
    with_snr = has(arrays, "snr")
    x = arrays["snr"] if with_snr else np.arange(good.size)
    for model in _MODELS:
        y = arrays[f"chi2_{model}_star"]
        axes.plot(x[good], y[good], "o", ms=4, color=COLOURS[model], alpha=0.65, mec="none", label=model)
    axes.axhline(1.0, color=COLOURS["observed"], lw=0.9, ls=(0, (4, 3)))
    axes.set(yscale="log", xlabel="signal to noise per pixel" if with_snr else "test star")
    axes.set_ylabel("χ² per pixel")
    axes.legend(loc="upper left")


def _scatter_panel(axes: Axes, arrays: Arrays) -> None:
    wavelength, scatter = arrays["wavelength"], 100.0 * arrays["scatter"]
    axes.plot(wavelength, scatter, color=COLOURS["morph"], lw=0.5, alpha=0.4, rasterized=dense(scatter))
    axes.plot(*binned_median(wavelength, scatter, 60), color=COLOURS["morph"], lw=1.7)
    axes.set_ylim(0.0, robust_limits(scatter, reach=99.5)[1])
    axes.set_title("extra scatter")
    axes.set(xlabel=WAVELENGTH, ylabel="scatter (% of continuum)")


def _line_spread_panel(axes: Axes, lsf: Metrics) -> None:
    x, fwhm = _numbers(lsf.get("wavelength")), _numbers(lsf.get("fwhm_angstrom"))
    scale, error = measured(lsf, "width_scale"), measured(lsf, "width_scale_error")
    if x.size == fwhm.size and np.isfinite(fwhm).any():
        axes.plot(x, fwhm, "-", color=COLOURS["morph"], lw=1.8, label="fitted")
        if scale and error is not None:
            axes.fill_between(
                x, fwhm * (1 - error / scale), fwhm * (1 + error / scale), color="#cfe0f2", lw=0
            )
        if scale:
            axes.plot(x, fwhm / scale, "--", color=COLOURS["quiet"], lw=1.2, label="as catalogued")
        axes.set_ylim(0.8 * float(np.nanmin(fwhm)), 1.2 * float(np.nanmax(fwhm)))
        axes.legend(loc="best")
    axes.set_title("line spread")
    axes.set(xlabel=WAVELENGTH, ylabel="FWHM (Å)")


def _distortion_panel(axes: Axes, found: Metrics) -> None:
    x, velocity, error, segment = (
        _numbers(found.get(key)) for key in ("wavelength", "velocity", "velocity_error", "segment")
    )
    for number in np.unique(segment):
        own = segment == number
        low, high = velocity[own] - error[own], velocity[own] + error[own]
        axes.fill_between(x[own], low, high, color="#cfe0f2", lw=0)
        axes.plot(x[own], velocity[own], "-", color=COLOURS["morph"], lw=1.8)
    windows = (_numbers(found.get(f"window_{key}")) for key in ("wavelength", "velocity", "error"))
    place, each, spread = windows
    told = np.isfinite(each)
    axes.errorbar(
        place[told], each[told], spread[told], fmt="o", ms=3, lw=0.9, color=COLOURS["observed"], alpha=0.7
    )
    axes.axhline(0.0, color=COLOURS["quiet"], lw=0.9, ls=(0, (4, 3)))
    axes.set_title("wavelength distortion")
    axes.set(xlabel="vacuum wavelength as stated (Å)", ylabel="velocity (km/s)")


def _velocity_panel(axes: Axes, velocity: NDArray[Any]) -> None:
    finite = velocity[np.isfinite(velocity)]
    low, high = robust_limits(finite, reach=99.0)
    axes.hist(np.clip(finite, low, high), bins=24, color=COLOURS["morph"], alpha=0.75)
    axes.set_title("fitted velocities")
    axes.set(xlabel="radial velocity (km/s)", ylabel="test stars")
