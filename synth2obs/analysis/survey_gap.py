"""The gap of a survey at given labels: spectrum, posterior, lines, and the element that explains each."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.lines import Attribution, attribute_lines, strongest_lines
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import Fit

STEP = 0.1
"""Change of an abundance, in dex, over which theory's response is taken."""

TELLURIC = (
    (6276.0, 6322.0, "telluric O₂ γ"),
    (6867.0, 6946.0, "telluric O₂ B"),
    (7160.0, 7342.0, "telluric H₂O"),
)
"""Bands of the Earth's atmosphere in vacuum Å (Hinkle et al. 2003, BAAS 35, 1260): no star made a line there."""

LINE_SIGMA = 5.0
NOT_ELEMENTS = ("fe_h", "alpha_fe")


def typical_labels(bridge: Bridge, fit: Fit) -> NDArray[np.float64]:
    """Median labels of a fit in their units, shape (1, K)."""
    labels: NDArray[np.float64] = bridge.scale.inverse(fit.theta).median(0, keepdim=True).values.numpy()
    return labels


@torch.no_grad()
def survey_gap(bridge: Bridge, survey: str, labels: ArrayLike) -> dict[str, NDArray[Any]]:
    """Gap at one star's labels, on the rest grid.

    It is what the survey sees minus what theory predicts for the same labels, through the survey's instrument:
    morph and gap together. The error is the posterior of the gap; the morph is held.

    Args:
        bridge: Trained.
        survey: Its name.
        labels: In their units, shape (1, K).

    Returns:
        ``gap_mean``, ``gap_error``, shape (L,), NaN beyond the survey's pixels, and ``gap_slopes`` (F - 1, L) with
        ``gap_slope_names``: the change per standard deviation of a label.
    """
    model, grid = bridge.survey(survey), bridge.decoder.rest_wavelength.numpy()
    native = bridge.predict(labels, survey)[0] - bridge.predict(labels, survey, morphed=False)[0]
    latent = model.morph(bridge.emulator(bridge.scale(torch.as_tensor(np.asarray(labels, float)))))[0]
    variance = model.gap.variance(model.gap.features(latent).float())[0]
    covered = np.isfinite(native)
    wavelength = model.wavelength.numpy()[covered]
    inside = (grid >= wavelength[0]) & (grid <= wavelength[-1])
    mean = np.where(inside, np.interp(grid, wavelength, native[covered]), np.nan)
    arrays: dict[str, NDArray[Any]] = {
        "gap_mean": mean,
        "gap_error": np.where(inside, variance.clamp(min=0).sqrt().numpy(), np.nan),
    }
    slopes = model.gap.slopes()
    if slopes:
        arrays["gap_slopes"] = np.stack([slope.numpy() for slope in slopes.values()])
        arrays["gap_slope_names"] = np.array(list(slopes))
    return arrays


@torch.no_grad()
def gap_lines(bridge: Bridge, survey: str, labels: NDArray[np.float64], count: int) -> dict[str, Any]:
    """Size of the gap, and its strongest lines with the element whose gradient explains each best.

    Args:
        bridge, survey, labels: As for `survey_gap`.
        count: Most lines.
    """
    arrays = survey_gap(bridge, survey, labels)
    grid = bridge.decoder.rest_wavelength.numpy()
    mean, error = arrays["gap_mean"], arrays["gap_error"]
    known = np.isfinite(mean) & np.isfinite(error)
    model = bridge.survey(survey)
    fwhm = 2.3548 * float(model.lsf_sigma.median() * model.width_scale)
    lines = strongest_lines(mean, error, grid, count, min_separation=fwhm, threshold=LINE_SIGMA)
    pixel = float(np.median(np.diff(model.wavelength.numpy())))
    cells = max(1.0, pixel / float(np.median(np.diff(grid))))
    found = attribute_lines(
        lines,
        mean,
        error,
        grid,
        element_gradients(bridge, survey, labels),
        window=fwhm,
        cells_per_sample=cells,
    )
    return {
        "rms": float(np.sqrt(np.mean(mean[known] ** 2))),
        "rms_error": float(np.sqrt(np.mean(error[known] ** 2))),
        "lines": [_described(item) for item in found],
    }


def _described(item: Attribution) -> dict[str, Any]:
    """A line and the element whose gradient explains it best; ``unexplained`` is the probability of none of them."""
    elements = {name: share for name, share in item.probabilities.items() if name != "none"}
    first, second, *_ = [*sorted(elements, key=lambda name: -elements[name]), "none", "none"]
    return {
        "wavelength": item.line.wavelength,
        "depth": item.line.depth,
        "depth_error": item.line.depth_error,
        "equivalent_width_mA": item.line.equivalent_width,
        "significance": item.line.significance,
        "element": first,
        "probability": elements.get(first),
        "runner_up": second,
        "unexplained": item.probabilities.get("none"),
        "note": next((text for low, high, text in TELLURIC if low <= item.line.wavelength <= high), ""),
    }


@torch.no_grad()
def element_gradients(
    bridge: Bridge, survey: str, labels: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """∂flux/∂[X/Fe] of theory through the survey's instrument, on the rest grid, by element."""
    names = [n for n in bridge.labels.names if n.endswith("_fe") and n not in NOT_ELEMENTS]
    table = np.repeat(labels, 2 * len(names), axis=0)
    for row, name in enumerate(names):
        table[2 * row, bridge.labels.index(name)] += STEP
        table[2 * row + 1, bridge.labels.index(name)] -= STEP
    flux = np.nan_to_num(bridge.predict(table, survey, morphed=False))
    slopes = (flux[::2] - flux[1::2]) / (2 * STEP)
    grid, native = bridge.decoder.rest_wavelength.numpy(), bridge.survey(survey).wavelength.numpy()
    return {
        name.removesuffix("_fe").capitalize(): np.interp(grid, native, slope)
        for name, slope in zip(names, slopes, strict=True)
    }
