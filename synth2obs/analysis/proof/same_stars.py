"""The same held-out stars in two surveys: whether a method gives them the same labels."""

import numpy as np

from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.analysis.proof.score import Scores
from synth2obs.analysis.proof.statistics import scatter
from synth2obs.analysis.proof.truth import Truth
from synth2obs.core.labels import STELLAR


def same_stars(first: Scores, second: Scores, truth: Truth, draws: int) -> dict[str, dict[str, Score]]:
    """Median and robust scatter of the second survey's labels minus the first's, by method and key.

    Args:
        first, second: Of two surveys whose held-out stars are the same, in the same order.
        truth: About these stars; errors count distinct spectra.
        draws: Bootstrap samples.
    """
    found: dict[str, dict[str, Score]] = {}
    for method in first.methods:
        difference = second.arrays[f"{method}_labels"] - first.arrays[f"{method}_labels"]
        row: dict[str, Score] = {}
        for name, values in zip(STELLAR, difference.T, strict=True):
            row |= {
                f"{name}_between_bias": _over_stars(values, truth, draws, median=True),
                f"{name}_between_scatter": _over_stars(values, truth, draws, median=False),
            }
        found[method] = row
    return found


def _over_stars(values: np.ndarray, truth: Truth, draws: int, *, median: bool) -> Score:
    statistic = np.median if median else scatter
    return bootstrap(lambda rows: float(statistic(values[rows])), truth.held_spectrum, draws)
