"""The gap of a survey at given labels: spectrum, posterior, lines, and the element that explains each."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.attribution import NONE, AttributedLine, attribute_lines, followed_by_stars
from synth2obs.analysis.bands import is_telluric
from synth2obs.analysis.elements import IRON, shares
from synth2obs.analysis.lines import strongest_lines
from synth2obs.analysis.star_lines import StarLines, abundance_labels
from synth2obs.analysis.systematic import believable, continuum_floor, emulator_floor
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.wavelengths import on_detectors
from synth2obs.io.strong_lines import StrongLines
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import LabelFit

if TYPE_CHECKING:
    from synth2obs.analysis.line_overlay.listed import Listed

Arrays = dict[str, NDArray[Any]]

STEP = 0.1
"""Change of an abundance, in dex, over which theory's response is taken."""

LINE_SIGMA = 5.0

MOST = 200
"""Lines that are looked at for a report."""


def typical_labels(bridge: Bridge, fit: LabelFit) -> NDArray[np.float64]:
    """Median labels of a fit in their units, shape (1, K)."""
    labels: NDArray[np.float64] = bridge.scale.inverse(fit.x).median(0, keepdim=True).values.numpy()
    return labels


@torch.no_grad()
def survey_gap(bridge: Bridge, survey: str, labels: ArrayLike) -> Arrays:
    """Gap at one star's labels, or its mean over several, on the rest grid.

    Args:
        bridge: Trained.
        survey: Its name.
        labels: In their units, shape (N, K).

    Returns:
        ``gap_mean`` and ``gap_error``, the posterior of Δ; ``difference_mean``, what the survey sees minus what theory
        predicts for the same labels (morph and gap together); shape (L,) each, NaN beyond the survey's pixels; and
        ``gap_slopes`` (F - 1, L) with ``gap_slope_names``: the change per standard deviation of a label.
    """
    model, grid = bridge.survey(survey), bridge.decoder_of(survey).rest_wavelength.numpy()
    each = bridge.gap_features(survey, bridge.scale(torch.as_tensor(np.asarray(labels, float)))).float()
    # Linear in its features: the mean of gaps is the gap at the mean of features.
    features = each.mean(0, keepdim=True)
    native = (bridge.predict(labels, survey) - bridge.predict(labels, survey, morphed=False)).mean(0)
    covered = np.isfinite(native)
    wavelength = model.true_wavelength.numpy()[covered]
    inside = on_detectors(grid, wavelength, model.segment.numpy()[covered])
    columns = {
        "gap_mean": model.gap(features)[0].numpy(),
        "gap_error": model.gap.variance(features)[0].clamp(min=0).sqrt().numpy(),
        "difference_mean": np.interp(grid, wavelength, native[covered]),
    }
    arrays: Arrays = {name: np.where(inside, values, np.nan) for name, values in columns.items()}
    slopes = model.gap.slopes()
    if slopes:
        arrays["gap_slopes"] = np.stack([slope.numpy() for slope in slopes.values()])
        arrays["gap_slope_names"] = np.array(list(slopes))
    return arrays


@torch.no_grad()
def gap_lines(
    bridge: Bridge,
    survey: str,
    labels: NDArray[np.float64],
    gap: Arrays,
    count: int,
    stars: StarLines | None = None,
    listed: "Listed | None" = None,
    floor: NDArray[np.float64] | None = None,
) -> list[AttributedLine]:
    """The strongest lines of a gap with the element that explains each best.

    Args:
        bridge, survey, labels: As for `survey_gap`.
        gap: What that gave.
        count: Most lines: the most significant, or the deepest if there is a floor; in that order.
        stars: In which lines are followed; None compares gradients alone.
        listed: Lines of a line list, which say what elements have lines where; asked only if stars are.
        floor: From `gap_floor`: errors hold it, and lines that are not significant with it are left out.
    """
    mean, error, grid = gap["gap_mean"], gap["gap_error"], bridge.decoder_of(survey).rest_wavelength.numpy()
    fwhm, most = line_width(bridge, survey), count if floor is None else len(grid)
    lines = strongest_lines(mean, error, grid, most, min_separation=fwhm, threshold=LINE_SIGMA)
    if floor is not None:
        lines = believable(lines, floor, grid, LINE_SIGMA)[:count]
    gradients = element_gradients(bridge, survey, labels)
    found = attribute_lines(
        lines,
        mean,
        error,
        grid,
        gradients,
        window=fwhm,
        cells_per_sample=max(1.0, fwhm / float(np.median(np.diff(grid)))),
    )
    if stars is None:
        return found
    prior = shares(gradients)
    priors = [prior] * len(lines)
    if listed is not None:
        teff = float(labels[0, bridge.labels.index("teff")])
        from synth2obs.analysis.line_overlay.elements import listed_shares

        priors = listed_shares(lines, listed, prior, fwhm / FWHM_PER_SIGMA, teff)
    return followed_by_stars(found, [stars.evidence(line, mean) for line in lines], priors)


def line_width(bridge: Bridge, survey: str) -> float:
    """FWHM of a survey's line spread in Å, median over its pixels."""
    model = bridge.survey(survey)
    return FWHM_PER_SIGMA * float(model.lsf_sigma.median() * model.width_scale)


def gap_floor(bridge: Bridge, survey: str, labels: NDArray[np.float64], gap: Arrays) -> NDArray[np.float64]:
    """Systematic σ of a gap beside its posterior, by the emulator and the continuum, shape (L,); as for `gap_lines`."""
    grid = bridge.decoder_of(survey).rest_wavelength.numpy()
    continuum = continuum_floor(gap["gap_mean"], grid, line_width(bridge, survey))
    return np.hypot(emulator_floor(bridge, survey, labels), continuum)


def gap_size(gap: Arrays) -> tuple[float, float]:
    """Rms over wavelengths of a gap from `survey_gap`, and of its error."""
    known = np.isfinite(gap["gap_mean"]) & np.isfinite(gap["gap_error"])
    mean, error = (float(np.sqrt(np.mean(gap[name][known] ** 2))) for name in ("gap_mean", "gap_error"))
    return mean, error


def gap_metrics(
    bridge: Bridge,
    survey: str,
    labels: NDArray[np.float64],
    count: int,
    stars: StarLines | None = None,
    names: StrongLines | None = None,
) -> dict[str, Any]:
    """The gap's part of ``metrics.json``: its size, and its deepest lines, those of the Earth's atmosphere apart.

    Args:
        bridge, survey, labels, stars: As for `gap_lines`.
        count: Most lines of either kind.
        names: Lines that are named beside those of the gap.
    """
    gap = survey_gap(bridge, survey, labels)
    floor, sigma = gap_floor(bridge, survey, labels, gap), line_width(bridge, survey) / FWHM_PER_SIGMA
    rms, rms_error = gap_size(gap)
    model = bridge.survey(survey).gap
    lines = gap_lines(bridge, survey, labels, gap, MOST, stars, floor=floor)
    air = [is_telluric(line.note) for line in lines]
    listed = [_described(line, "" if names is None else names.near(line.wavelength, sigma)) for line in lines]
    return {
        "features": int(model.used),
        "most_features": model.size,
        "rms": rms,
        "rms_error": rms_error,
        "difference_rms": float(np.sqrt(np.nanmean(gap["difference_mean"] ** 2))),
        "line_floor": float(np.median(floor)),
        "significant_lines": len(lines) - sum(air),
        "lines": [line for line, earth in zip(listed, air, strict=True) if not earth][:count],
        "telluric": [line for line, earth in zip(listed, air, strict=True) if earth][:count],
    }


def _described(line: AttributedLine, listed: str) -> dict[str, Any]:
    """A line as ``metrics.json`` has it."""
    return {
        "wavelength": line.wavelength,
        "depth": line.depth,
        "depth_error": line.depth_error,
        "equivalent_width_mA": line.equivalent_width,
        "equivalent_width_error_mA": line.equivalent_width_error,
        "significance": line.significance,
        "element": line.element,
        "probability": None if line.element == NONE else line.probability,
        "runner_up": line.runner_up,
        "alternatives": line.alternatives,
        "unexplained": line.unexplained,
        "note": line.note,
        "listed": listed,
    }


@torch.no_grad()
def element_gradients(
    bridge: Bridge, survey: str, labels: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """∂flux/∂[X/Fe] of theory through the survey's instrument, on the rest grid, by element; iron's at given [X/H].

    An element that the grid has no label for goes with iron.
    """
    changes = _abundance_changes(bridge)
    table = np.concatenate([labels + sign * STEP * each for each in changes.values() for sign in (1.0, -1.0)])
    flux = np.nan_to_num(bridge.predict(table, survey, morphed=False))
    slopes = (flux[::2] - flux[1::2]) / (2 * STEP)
    grid, native = (
        bridge.decoder_of(survey).rest_wavelength.numpy(),
        bridge.survey(survey).true_wavelength.numpy(),
    )
    return {name: np.interp(grid, native, slope) for name, slope in zip(changes, slopes, strict=True)}


def _abundance_changes(bridge: Bridge) -> dict[str, NDArray[np.float64]]:
    """What a dex more of each element alone does to the labels, shape (K,) each."""
    unit = np.eye(len(bridge.labels))
    own = {name: unit[column] for name, column in abundance_labels(bridge).items()}
    iron = unit[bridge.labels.index("fe_h")] - sum(own.values())
    return {**own, IRON: iron}
