"""One survey's part of ``metrics.json``; see ``docs/report.md``."""

import math
from typing import Any

from torch import Tensor

from synth2obs.analysis.baselines import MORPH, THEORY
from synth2obs.analysis.column_trends import column_trends
from synth2obs.analysis.compared import compared
from synth2obs.analysis.consistency import consistency
from synth2obs.analysis.line_groups import labels_by_group
from synth2obs.analysis.noise_floor import noise_floor
from synth2obs.analysis.pulls import pulls
from synth2obs.analysis.star_flags import flagged, star_flags
from synth2obs.analysis.star_lines import StarLines
from synth2obs.analysis.survey_gap import gap_metrics, typical_labels
from synth2obs.analysis.trials import Tested
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.labels import STELLAR
from synth2obs.io.strong_lines import StrongLines
from synth2obs.models.alignment.change import minimal_change
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import Fit, LabelFit
from synth2obs.models.survey import SHIFTED, SurveyModel


def metrics_of(
    tested: Tested,
    *,
    lines: int,
    trained: int | None,
    stars: StarLines | None = None,
    names: StrongLines | None = None,
) -> dict[str, Any]:
    """All but the comparison of telescopes.

    Args:
        tested: Every method on the test stars.
        lines: Most lines of the gap.
        trained: Number of training stars, or None.
        stars: In which lines of the gap are followed.
        names: Lines that are named beside those of the gap.
    """
    bridge, survey, free = tested.bridge, tested.survey, tested.trials["morph"].free
    model = bridge.survey(survey)
    return {
        "n_test": len(tested.seen),
        "n_train": trained,
        "n_anchored": int(tested.known.usable.sum()),
        **compared(tested),
        "noise_floor": noise_floor(*tested.held(MORPH), model.noise.factor[0]),
        "pulls": pulls(tested),
        "flagged": flagged(star_flags(bridge, survey, free)),
        "gap": gap_metrics(bridge, survey, typical_labels(bridge, free), lines, stars, names),
        "lsf": _line_spread(model),
        "wavelengths": _distortion(model),
        "noise": _noise(model, free),
        "morph": _change(model, bridge.theory_latents(survey, free.x)),
        "anchors": _anchors(bridge, model, free),
        "common_shift": _common_shift(model),
        "line_groups": {
            method: labels_by_group(bridge, tested.seen, tested.trials[method].free, morphed=method == MORPH)
            for method in (THEORY, MORPH)
        },
        **consistency(tested),
        **_trends(tested),
    }


def _trends(tested: Tested) -> dict[str, Any]:
    """How labels and χ² run with what the stars carry; nothing where that cannot be said."""
    found = column_trends(tested)
    return {"trends": found} if found else {}


def _line_spread(model: SurveyModel) -> dict[str, Any]:
    """Its fitted width over the catalogued one, and its FWHM at a dozen wavelengths."""
    some = slice(None, None, max(1, len(model.wavelength) // 12))
    width = FWHM_PER_SIGMA * model.lsf_sigma[some] * model.width_scale
    return {
        "width_scale": float(model.width_scale),
        "width_scale_error": _known(model.width_scale_error),
        "fwhm_angstrom": width.tolist(),
        "wavelength": model.wavelength[some].tolist(),
    }


def _known(number: Tensor | float) -> float | None:
    """A number, None where there is none."""
    return float(number) if math.isfinite(number) else None


def _distortion(model: SurveyModel) -> dict[str, Any]:
    """How far wavelengths are stretched, at some of them, the windows that say so, and the velocities' zero point."""
    own, some = model.distortion, slice(None, None, max(1, len(model.wavelength) // 120))
    at = model.wavelength[some], model.segment[some]
    velocity, error = own.velocity(*at), own.error(*at)
    numbers = ("log_odds", "scatter", "zero_point", "zero_point_error")
    return {
        "rms": float(velocity.square().mean().sqrt()),
        "rms_error": float(error.square().mean().sqrt()),
        "degree": int(own.degree),
        **{name: _known(getattr(own, name)) for name in numbers},
        "wavelength": at[0].tolist(),
        "segment": at[1].tolist(),
        "velocity": velocity.tolist(),
        "velocity_error": error.tolist(),
        "window_wavelength": own.window_centres().flatten().tolist(),
        "window_velocity": own.window_velocity.flatten().tolist(),
        "window_error": own.window_error.flatten().tolist(),
    }


def _noise(model: SurveyModel, free: Fit) -> dict[str, float | None]:
    factor, error = model.noise.factor
    return {
        "factor": factor,
        "factor_error": _known(error),
        "scatter_median": float(model.gap.scatter.sqrt().median()),
        "chi2_per_pixel": _median(free.chi2_per_pixel),
        "correlation_pixels": model.correlation,
        **_repeats(model),
    }


def _repeats(model: SurveyModel) -> dict[str, float]:
    """Stars that were seen again and what they say of quoted errors: their factor, at its least and most, and floor."""
    own = model.noise
    if not float(own.repeated):
        return {"repeated_stars": 0.0}
    low, high = int(own.scale.argmin()), int(own.scale.argmax())
    return {
        "repeated_stars": float(own.repeated),
        "scale_least": float(own.scale[low]),
        "scale_least_error": float(own.scale_error[low]),
        "scale_most": float(own.scale[high]),
        "scale_most_error": float(own.scale_error[high]),
        "floor": float(own.floor),
        "floor_error": float(own.floor_error),
    }


def _change(model: SurveyModel, latents: Tensor) -> dict[str, float]:
    """How far the morph is from the identity, rms over stars and dimensions."""
    change = minimal_change(model.morph, latents)
    return {
        "latent_shift_rms": float((change["displacement"] / latents.shape[1]).sqrt()),
        "jacobian_rms": float((change["jacobian"] / latents.shape[1]).sqrt()),
    }


def _anchors(bridge: Bridge, model: SurveyModel, free: LabelFit) -> dict[str, Any]:
    """How far the label map moves the median star, in the labels' units, with its error, and the anchors' scatter."""
    own, x = model.label_map, free.x.median(0, keepdim=True).values
    open_ = own.variance(x) - own.scattered(x)
    columns = {
        "shift": own(x) - x,
        "shift_error": open_.clamp(min=0).sqrt(),
        "scatter": own.scattered(x).sqrt(),
    }
    slope = bridge.scale.slope(x)
    found: dict[str, Any] = {"stars": int(own.stars)}
    for key, values in columns.items():
        values = values * (slope if key == "shift" else slope.abs())
        found[key] = {name: float(values[0, bridge.labels.index(name)]) for name in STELLAR}
    return found


def _common_shift(model: SurveyModel) -> dict[str, dict[str, float]]:
    """What the last round of the gap still asked of all labels together, in their units, if lines err one by one."""
    columns = zip(SHIFTED, model.shift.tolist(), model.shift_error.tolist(), strict=True)
    return {name: {"value": value, "error": error} for name, value, error in columns if math.isfinite(value)}


def _median(values: Tensor) -> float:
    return float(values.median()) if len(values) else float("nan")
