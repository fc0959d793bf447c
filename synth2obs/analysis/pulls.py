"""Whether quoted errors of labels are as large as labels are wrong, the literature's own errors taken out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.bootstrap import over_stars
from synth2obs.analysis.recovery import Literature, fitted_labels, label_errors
from synth2obs.analysis.trials import Tested
from synth2obs.core.labels import STELLAR
from synth2obs.core.robust import scatter

Floats = NDArray[np.float64]

JUDGED = ("theory_weighted", "morph")
"""Methods whose errors are judged: those that know what theory leaves."""


def pulls(tested: Tested) -> dict[str, dict[str, dict[str, float]]]:
    r"""By method and label: how many stars have the literature inside their errors, and how large errors really are.

    A pull is :math:`(\hat x - x) / \sqrt{\hat\sigma^2 + \sigma_x^2}` with the quoted error of the fit and the
    literature's. ``width`` is their robust standard deviation (1 if errors are right but for a bias), ``within_1`` and
    ``within_2`` the shares of stars within 1 and 2 (0.68 and 0.95), with errors by bootstrap. ``quoted`` and
    ``literature`` are median errors, and ``real`` is the scatter of fitted minus literature with the literature's
    error taken out, :math:`\sqrt{s^2 - \sigma_x^2}`.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for method in (name for name in JUDGED if name in tested.trials):
        fit = tested.trials[method].free
        fitted, errors = fitted_labels(tested.bridge, fit), label_errors(tested.bridge, fit)
        found[method] = judged(fitted, errors, tested.known)
    return found


def judged(fitted: Floats, errors: Floats, known: Literature) -> dict[str, dict[str, float]]:
    """The numbers of `pulls` for labels (N, 3) with quoted errors (N, 3)."""
    rows = known.usable
    if not rows.any():
        return {}
    difference = (fitted - known.table)[rows]
    columns = zip(STELLAR, difference.T, errors[rows].T, known.errors[rows].T, strict=True)
    return {name: _judged(*column) for name, *column in columns}


def _judged(difference: Floats, quoted: Floats, literature: Floats) -> dict[str, float]:
    pull = difference / np.sqrt(quoted**2 + literature**2).clip(1e-30)
    real = float(scatter(difference)) ** 2 - float(np.median(literature)) ** 2
    return {
        "n": len(pull),
        "quoted": float(np.median(quoted)),
        "literature": float(np.median(literature)),
        "real": max(real, 0.0) ** 0.5,
        **_numbers("width", pull, lambda values: float(scatter(values))),
        **_numbers("within_1", np.abs(pull) < 1, np.mean),
        **_numbers("within_2", np.abs(pull) < 2, np.mean),
    }


def _numbers(name: str, values: NDArray[Any], statistic: Any) -> dict[str, float]:
    score = over_stars(lambda rows: float(statistic(values[rows])), len(values))
    return {name: score.value, f"{name}_error": score.error}
