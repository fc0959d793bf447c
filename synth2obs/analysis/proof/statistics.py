"""Scores with errors: average precision, robust scatter, shares, slopes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.core.constants import MAD_TO_SIGMA

Floats = NDArray[np.float64]


def average_precision(score: ArrayLike, truth: ArrayLike) -> float:
    r"""Area under the curve of precision against recall, :math:`\sum_k (R_k - R_{k-1}) P_k`; NaN without a positive.

    Equal scores are one step, so that their order does not matter. A random score has the share of positives.

    Args:
        score: Larger is more likely, shape (N,).
        truth: Shape (N,), bool.
    """
    height, true = np.asarray(score, float), np.asarray(truth, bool)
    positives = int(true.sum())
    if not positives:
        return float("nan")
    order = np.argsort(-height, kind="stable")
    found = np.cumsum(true[order])
    last = np.append(np.diff(height[order]) != 0, True)
    precision, recall = found[last] / (np.nonzero(last)[0] + 1), found[last] / positives
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def scatter(values: NDArray[Any]) -> float:
    """1.4826 times the median absolute deviation."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def share(true: NDArray[np.bool_], groups: ArrayLike, draws: int) -> Score:
    """Of rows that are true."""
    return bootstrap(lambda rows: float(true[rows].mean()), groups, draws)


def slope(x: ArrayLike, scores: list[Score]) -> Score:
    """Of a straight line through scores against x, weighted by their errors."""
    at, value = np.asarray(x, float), np.array([score.value for score in scores])
    error = np.array([score.error for score in scores])
    good = np.isfinite(value) & np.isfinite(error) & (error > 0)
    if len(np.unique(at[good])) < 2:
        return Score(float("nan"))
    weight = error[good] ** -2.0
    centred = at[good] - np.average(at[good], weights=weight)
    power = float((weight * centred**2).sum())
    return Score(float((weight * centred * value[good]).sum()) / power, power**-0.5)
