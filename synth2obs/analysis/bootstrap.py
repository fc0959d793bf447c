"""Standard errors of any number that stars give, by drawing stars anew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Statistic = Callable[[NDArray[np.intp]], float]


@dataclass(frozen=True)
class Score:
    """A number and its standard error; NaN where there is none."""

    value: float
    error: float = float("nan")


DRAWS = 300
"""Bootstrap samples: errors to 4 %."""


def over_stars(statistic: Statistic, stars: int) -> Score:
    """A statistic of stars that are all independent, and its standard error; arguments as for `bootstrap`."""
    return bootstrap(statistic, np.arange(stars), DRAWS)


def bootstrap(statistic: Statistic, groups: ArrayLike, draws: int, seed: int = 0) -> Score:
    """A statistic of all rows, and its standard error by drawing whole groups with replacement.

    Args:
        statistic: Of row numbers, in which a row may occur more than once.
        groups: Which group each row belongs to, shape (N,): rows that are alike are no independent witnesses.
        draws: Bootstrap samples.
        seed: Of the draws.
    """
    _, place, counts = np.unique(np.asarray(groups), return_inverse=True, return_counts=True)
    if not place.size:
        return Score(float("nan"))
    value = statistic(np.arange(len(place)))
    if len(counts) < 2:
        return Score(value)
    ordered, random = np.argsort(place, kind="stable"), np.random.default_rng(seed)
    members = np.split(ordered, np.cumsum(counts)[:-1])
    single = len(counts) == len(place)
    values = []
    for _ in range(draws):
        chosen = random.integers(len(counts), size=len(counts))
        values.append(statistic(ordered[chosen] if single else np.concatenate([members[k] for k in chosen])))
    known = np.array(values)[np.isfinite(values)]
    return Score(value, float(known.std(ddof=1)) if len(known) > 1 else float("nan"))
