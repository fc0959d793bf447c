"""Every method's residuals and labels with errors, and how the morph differs from each on the same stars."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.baselines import MORPH
from synth2obs.analysis.bootstrap import over_stars
from synth2obs.analysis.recovery import Literature, fitted_labels
from synth2obs.analysis.trials import Tested, Trial
from synth2obs.core.labels import STELLAR
from synth2obs.core.robust import scatter
from synth2obs.models.fit.refine import rms

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], float]

RESIDUALS: dict[str, Callable[[Trial], Floats]] = {
    "anchored_rms": lambda trial: rms(trial.held).numpy(),
    "anchored_chi2": lambda trial: trial.held.chi2_per_pixel.numpy(),
    "free_rms": lambda trial: rms(trial.free).numpy(),
}
"""What is left of every star, by key of the metrics."""


def _median(values: Floats) -> float:
    return float(np.median(values))


def _scatter(values: Floats) -> float:
    return float(scatter(values))


def _size(values: Floats) -> float:
    return abs(_median(values))


def compared(tested: Tested) -> dict[str, Any]:
    """Residuals (median over stars) and label recovery by method, ``…_error`` by bootstrap over stars, and ``versus``.

    ``versus.<method>.<measure>`` is the morph's number minus the method's and its error, of the same stars drawn
    together: what stars share cancels. Measures are ``anchored_rms``, ``free_rms``, ``<label>_bias`` (of its size) and
    ``<label>_scatter``.
    """
    found: dict[str, Any] = {}
    left = {
        key: {m: of(trial).astype(float) for m, trial in tested.trials.items()}
        for key, of in RESIDUALS.items()
    }
    for key, values in left.items():
        scores = {m: over_stars(_of(_median, v), len(v)) for m, v in values.items()}
        found[key] = {m: score.value for m, score in scores.items()}
        found[f"{key}_error"] = {m: score.error for m, score in scores.items()}
    fitted = {m: fitted_labels(tested.bridge, trial.free) for m, trial in tested.trials.items()}
    found["label_recovery"] = {m: recovery(table, tested.known) for m, table in fitted.items()}
    found["versus"] = {m: dict(_versus(m, left, fitted, tested.known)) for m in tested.trials if m != MORPH}
    return found


def recovery(fitted: Floats, known: Literature) -> dict[str, dict[str, float]]:
    """Bias (median) and scatter (1.4826 MAD) of fitted minus literature by label, with errors by bootstrap."""
    difference = (fitted - known.table)[known.usable]
    if not len(difference):
        return {}
    return {name: _recovered(column) for name, column in zip(STELLAR, difference.T, strict=True)}


def _recovered(difference: Floats) -> dict[str, float]:
    found: dict[str, float] = {"n": len(difference)}
    for name, statistic in (("bias", _median), ("scatter", _scatter)):
        score = over_stars(_of(statistic, difference), len(difference))
        found |= {name: score.value, f"{name}_error": score.error}
    return found


def _versus(
    method: str, left: dict[str, dict[str, Floats]], fitted: dict[str, Floats], known: Literature
) -> Iterator[tuple[str, dict[str, float]]]:
    for key in ("anchored_rms", "free_rms"):
        yield key, _change(_median, left[key][MORPH], left[key][method])
    one, other = ((fitted[m] - known.table)[known.usable] for m in (MORPH, method))
    for column, name in enumerate(STELLAR):
        yield f"{name}_bias", _change(_size, one[:, column], other[:, column])
        yield f"{name}_scatter", _change(_scatter, one[:, column], other[:, column])


def _change(statistic: Statistic, morph: Floats, other: Floats) -> dict[str, float]:
    """A statistic of the morph minus that of another method, the same stars drawn for both."""
    score = over_stars(lambda rows: statistic(morph[rows]) - statistic(other[rows]), len(morph))
    return {"difference": score.value, "error": score.error}


def _of(statistic: Statistic, values: Floats) -> Callable[[NDArray[np.intp]], float]:
    return lambda rows: statistic(values[rows])
