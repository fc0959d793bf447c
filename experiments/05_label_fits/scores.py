"""How good labels and their errors are: bias, scatter, pulls, coverage, flatness of the PIT."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kstest

from synth2obs.core.constants import MAD_TO_SIGMA

Floats = NDArray[np.floating]


class Score(NamedTuple):
    """Of one label over N stars."""

    bias: float
    scatter: float
    pull: float
    inside: float
    distance: float
    p_value: float


def robust(values: Floats) -> float:
    """Standard deviation from the median absolute deviation about the median."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def score(offset: Floats, error: Floats) -> Score:
    """Of fitted minus true values and quoted errors, shape (N,) each.

    The pull's width is that of 68 % of the stars about zero, so that a bias counts. The distance is Kolmogorov and
    Smirnov's between the pulls and a normal distribution: how far the PIT Φ(pull) is from flat.
    """
    pull = offset / error
    test = kstest(pull, "norm")
    width = float(np.quantile(np.abs(pull), 0.6827))
    inside = float((np.abs(pull) < 1).mean())
    return Score(
        float(np.median(offset)), robust(offset), width, inside, float(test.statistic), float(test.pvalue)
    )


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def shown(name: str, value: float) -> str:
    """A label's value in a table: K without decimals."""
    return f"{value:.0f}" if name == "teff" else f"{value:.3f}"
