"""Figures of spectra: example stars, close-ups of strong lines, residuals by wavelength, the gap."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from synth2obs.reports.checks import Arrays
from synth2obs.reports.lines_table import mark
from synth2obs.reports.results import METHODS, Metrics, gap_lines, has, lookup, measured
from synth2obs.reports.style import COLOURS, binned_median, dense, new_figure, note, plain, robust_limits

EXAMPLES_DRAWN = 3
"""Example stars that get a figure of their own; the interactive figure has all of them."""

NAMED_LINES = 24
"""Lines of the gap that are named in its figure."""

REGIONS: dict[str, tuple[float, float, tuple[float, ...]]] = {
    "Hβ": (4835.0, 4890.0, (4862.69,)),
    "Mg b": (5150.0, 5205.0, (5168.76, 5174.13, 5185.05)),
    "Na D": (5870.0, 5920.0, (5891.58, 5897.56)),
    "Hα": (6535.0, 6595.0, (6564.61,)),
    "Ca II H and K": (3915.0, 3990.0, (3934.78, 3969.59)),
    "Ca II triplet": (8485.0, 8680.0, (8500.36, 8544.44, 8664.52)),
    "Mg I (H band)": (15740.0, 15785.0, (15753.29, 15770.15)),
    "Al I (H band)": (16710.0, 16780.0, (16723.54, 16755.14, 16767.94)),
    "Br 11": (16785.0, 16840.0, (16811.11,)),
}
"""Regions of strong lines, the most telling first: (start, stop, lines), vacuum Å."""

WAVELENGTH = "vacuum wavelength, rest frame (Å)"
_MODELS = ("theory", "morph")
_PER_PIXEL = ("wavelength", "example_observed", "example_theory", "example_morph", "example_sigma")
_CURVES = {
    "rms_theory": "theory",
    "rms_constant": "constant_residual",
    "rms_linear": "linear_residual",
    "rms_morph": "morph",
}


def regions_covered(wavelength: NDArray[Any], good: NDArray[np.bool_]) -> list[str]:
    """Names of the strong-line regions with at least four good pixels on either side of the middle."""
    names = []
    for name, (start, stop, _) in REGIONS.items():
        middle = 0.5 * (start + stop)
        left = good & (wavelength >= start) & (wavelength < middle)
        right = good & (wavelength >= middle) & (wavelength <= stop)
        if min(left.sum(), right.sum()) >= 4:
            names.append(name)
    return names


def star_spectrum(arrays: Arrays, star: int) -> Figure:
    """Observed, theory and morph of one example star, over their residuals."""
    figure = new_figure(4.9)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[2.2, 0.8, 0.8])
    _flux_panel(panels[0], arrays, star)
    for axes, model in zip(panels[1:], _MODELS, strict=True):
        _residual_panel(axes, arrays, star, (model,))
        axes.set_ylabel(f"observed −\n{model} (%)")
    _legend_above(figure, panels[0])
    _full_range(panels[-1], arrays)
    figure.align_ylabels(panels)
    return figure


def strong_lines(arrays: Arrays, star: int = 0) -> Figure | None:
    """Close-ups of the strong lines that the survey covers, one column each."""
    good = np.isfinite(arrays["example_observed"][star])
    names = sorted(regions_covered(arrays["wavelength"], good)[:4], key=REGIONS.__getitem__)
    if not names:
        return None
    figure = new_figure(4.0)
    panels = figure.subplots(
        2, len(names), sharex="col", sharey="row", height_ratios=[2.2, 1.0], squeeze=False
    )
    for column, name in enumerate(names):
        _close_up(panels[:, column], arrays, star, name)
    panels[0, 0].set_ylabel("flux / continuum")
    panels[1, 0].set_ylabel("residual (%)")
    _legend_above(figure, panels[0, 0])
    figure.supxlabel(WAVELENGTH, fontsize=9, color=COLOURS["ink"])
    return figure


def by_wavelength(arrays: Arrays) -> Figure | None:
    """Rms of the residual and chi2 per pixel against wavelength, for theory, baselines and morph."""
    if not has(arrays, "wavelength", "rms_theory", "rms_morph"):
        return None
    with_chi2 = has(arrays, "chi2_theory", "chi2_morph")
    figure = new_figure(5.4 if with_chi2 else 3.2)
    panels = figure.subplots(2 if with_chi2 else 1, 1, sharex=True, squeeze=False)[:, 0]
    shown = {method: 100.0 * arrays[key] for key, method in _CURVES.items() if has(arrays, key)}
    for method, rms in shown.items():
        _smoothed(panels[0], arrays["wavelength"], rms, method)
    panels[0].set_ylim(0.0, max(robust_limits(rms, reach=99.5, margin=0.1)[1] for rms in shown.values()))
    panels[0].set_ylabel("anchored rms\n(% of continuum)")
    _legend_above(figure, panels[0])
    if with_chi2:
        _chi2_panel(panels[1], arrays)
    _full_range(panels[-1], arrays)
    return figure


def gap_spectrum(metrics: Metrics, arrays: Arrays, survey: str) -> Figure | None:
    """The gap at the survey's median star with its posterior band, and the strongest lines named."""
    if not has(arrays, "wavelength", "gap_mean"):
        return None
    wavelength = arrays["wavelength"]
    pieces = _pieces(wavelength)
    figure = new_figure(0.6 + 1.75 * len(pieces))
    panels = figure.subplots(len(pieces), 1, sharey=True, squeeze=False)[:, 0]
    row = lookup(metrics, "surveys", survey)
    lines = [*gap_lines(row), *gap_lines(row, "telluric")]
    limits = robust_limits(100.0 * arrays["gap_mean"], reach=99.97, margin=0.22)
    for axes, piece in zip(panels, pieces, strict=True):
        _gap_panel(axes, arrays, piece)
        axes.set_ylim(*limits)
        _name_lines(axes, lines, limits)
    panels[-1].set_xlabel(WAVELENGTH)
    figure.supylabel("gap (% of continuum)", fontsize=9, color=COLOURS["ink"])
    return figure


def gap_slopes(arrays: Arrays) -> Figure | None:
    """How the gap changes with each of the functions that it depends on."""
    if not has(arrays, "wavelength", "gap_slopes") or "gap_slope_names" not in arrays:
        return None
    if not np.nan_to_num(arrays["gap_slopes"]).any():
        return None
    names = arrays["gap_slope_names"][:4]
    figure = new_figure(0.5 + 1.35 * len(names))
    panels = figure.subplots(len(names), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name, slope in zip(panels, names, arrays["gap_slopes"], strict=False):
        axes.plot(
            arrays["wavelength"], 100.0 * slope, color=COLOURS["morph"], lw=0.8, rasterized=dense(slope)
        )
        axes.axhline(0.0, color=COLOURS["quiet"], lw=0.8)
        axes.set_ylim(*robust_limits(100.0 * slope, reach=99.7, margin=0.3))
        note(axes, plain(str(name)))
    _full_range(panels[-1], arrays)
    figure.supylabel("change of the gap (% of continuum per unit)", fontsize=9, color=COLOURS["ink"])
    return figure


def _legend_above(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside upper right", ncols=len(names))
    for handle in legend.get_lines():
        handle.set_linewidth(2.2)


def _full_range(axes: Axes, arrays: Arrays) -> None:
    axes.set_xlabel(WAVELENGTH)
    axes.set_xlim(float(arrays["wavelength"][0]), float(arrays["wavelength"][-1]))


def _flux_panel(axes: Axes, arrays: Arrays, star: int) -> None:
    wavelength = arrays["wavelength"]
    flat = dense(wavelength)
    observed = arrays["example_observed"][star]
    axes.plot(wavelength, observed, color=COLOURS["observed"], lw=0.9, label="observed", rasterized=flat)
    for model in _MODELS:
        flux = arrays[f"example_{model}"][star]
        axes.plot(wavelength, flux, color=COLOURS[model], lw=0.9, alpha=0.9, label=model, rasterized=flat)
    everything = np.concatenate([observed, arrays["example_theory"][star]])
    low, high = robust_limits(everything, reach=99.9, margin=0.08)
    axes.set_ylim(low, high)
    axes.set_ylabel("flux / continuum")


def _residual_panel(axes: Axes, arrays: Arrays, star: int, models: tuple[str, ...] = _MODELS) -> None:
    wavelength, observed = arrays["wavelength"], arrays["example_observed"][star]
    if has(arrays, "example_sigma"):
        sigma = 100.0 * arrays["example_sigma"][star]
        axes.fill_between(wavelength, -sigma, sigma, color=COLOURS["faint"], lw=0, rasterized=True)
    for model in models:
        residual = 100.0 * (observed - arrays[f"example_{model}"][star])
        axes.plot(wavelength, residual, color=COLOURS[model], lw=0.8, alpha=0.9, rasterized=dense(residual))
    axes.axhline(0.0, color=COLOURS["quiet"], lw=0.7)
    reach = robust_limits(100.0 * (observed - arrays["example_theory"][star]), reach=99.5, margin=0.3)
    axes.set_ylim(-max(map(abs, reach)), max(map(abs, reach)))
    axes.set_ylabel("residual (%)")


def _close_up(panels: NDArray[Any], arrays: Arrays, star: int, name: str) -> None:
    start, stop, lines = REGIONS[name]
    near = (arrays["wavelength"] >= start) & (arrays["wavelength"] <= stop)
    cut = {key: arrays[key][..., near] for key in _PER_PIXEL if key in arrays}
    _flux_panel(panels[0], cut, star)
    _residual_panel(panels[1], cut, star)
    panels[0].set_title(name)
    panels[0].set_xlim(start, stop)
    panels[0].autoscale(axis="y")
    for axes in panels:
        axes.set_ylabel("")
        for line in lines:
            axes.axvline(line, color=COLOURS["quiet"], lw=0.7, ls=(0, (2, 3)), zorder=0)
    panels[1].xaxis.set_major_locator(MaxNLocator(3, integer=True))
    panels[1].autoscale(axis="y")


def _smoothed(axes: Axes, wavelength: NDArray[Any], values: NDArray[Any], method: str) -> None:
    colour = COLOURS[method]
    if method in _MODELS:
        axes.plot(wavelength, values, color=colour, lw=0.5, alpha=0.35, rasterized=dense(values))
    centre, median = binned_median(wavelength, values)
    axes.plot(centre, median, color=colour, lw=1.8, label=METHODS[method])


def _chi2_panel(axes: Axes, arrays: Arrays) -> None:
    for method in _MODELS:
        values = arrays[f"chi2_{method}"]
        _smoothed(axes, arrays["wavelength"], np.where(values > 0, values, np.nan), method)
    both = np.concatenate([arrays["chi2_theory"], arrays["chi2_morph"]])
    positive = both[np.isfinite(both) & (both > 0)]
    axes.set_yscale("log")
    if positive.size:
        axes.set_ylim(0.7 * float(np.percentile(positive, 1)), 1.4 * float(np.percentile(positive, 99.5)))
    axes.axhline(1.0, color=COLOURS["observed"], lw=0.9, ls=(0, (4, 3)))
    axes.set_ylabel("χ² per pixel")


def _pieces(wavelength: NDArray[Any]) -> list[tuple[float, float]]:
    """Split a long range so that lines stay apart: at most four rows of equal width."""
    start, stop = float(wavelength[0]), float(wavelength[-1])
    rows = int(np.clip(np.ceil((stop - start) / 1200.0), 1, 4))
    edges = np.linspace(start, stop, rows + 1)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


def _gap_panel(axes: Axes, arrays: Arrays, piece: tuple[float, float]) -> None:
    wavelength, gap = arrays["wavelength"], 100.0 * arrays["gap_mean"]
    near = (wavelength >= piece[0]) & (wavelength <= piece[1])
    x, y = wavelength[near], gap[near]
    axes.axhline(0.0, color=COLOURS["quiet"], lw=0.8)
    if has(arrays, "gap_error"):
        error = 200.0 * arrays["gap_error"][near]
        axes.fill_between(x, y - error, y + error, color=COLOURS["morph"], alpha=0.22, lw=0, rasterized=True)
    if has(arrays, "difference_mean"):
        both = 100.0 * arrays["difference_mean"][near]
        axes.plot(x, both, color=COLOURS["theory"], lw=0.7, alpha=0.75, rasterized=dense(x))
    axes.plot(x, y, color=COLOURS["morph"], lw=0.9, rasterized=dense(x))
    axes.set_xlim(*piece)


def _name_lines(axes: Axes, lines: list[Metrics], limits: tuple[float, float]) -> None:
    start, stop = axes.get_xlim()
    height = limits[0] + 0.05 * (limits[1] - limits[0])
    taken: list[float] = []
    for line in lines[:NAMED_LINES]:
        x = measured(line, "wavelength")
        inside = x is not None and start < x < stop
        if x is not None and inside and all(abs(x - other) > 0.022 * (stop - start) for other in taken):
            taken.append(x)
            axes.axvline(x, color=COLOURS["theory"], lw=0.6, alpha=0.55, zorder=0)
            axes.text(
                x, height, plain(mark(line)), fontsize=8, ha="center", color=COLOURS["ink"], clip_on=True
            )
