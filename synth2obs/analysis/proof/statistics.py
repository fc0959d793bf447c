"""Scores with errors: average precision, robust bias and scatter, bootstrap over groups, slopes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.constants import MAD_TO_SIGMA

Floats = NDArray[np.float64]
Statistic = Callable[[NDArray[np.intp]], float]


@dataclass(frozen=True)
class Score:
    """A number and its standard error; NaN where there is none."""

    value: float
    error: float = float("nan")


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


def bootstrap(statistic: Statistic, groups: ArrayLike, draws: int, seed: int = 0) -> Score:
    """A statistic of all rows, and its standard error by drawing whole groups with replacement.

    Args:
        statistic: Of row numbers, in which a row may occur more than once.
        groups: Which group each row belongs to, shape (N,): rows that are alike are no independent witnesses.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    _, place = np.unique(np.asarray(groups), return_inverse=True)
    if not place.size:
        return Score(float("nan"))
    members = [np.nonzero(place == group)[0] for group in range(int(place.max()) + 1)]
    value = statistic(np.arange(len(place)))
    if len(members) < 2:
        return Score(value)
    random = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        chosen = random.integers(len(members), size=len(members))
        values.append(statistic(np.concatenate([members[group] for group in chosen])))
    known = np.array(values)[np.isfinite(values)]
    return Score(value, float(known.std(ddof=1)) if len(known) > 1 else float("nan"))


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
