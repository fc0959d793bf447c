"""Scores of the elements that a method names for missing lines, and of the probabilities that it states."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.attribution import NONE, AttributedLine
from synth2obs.analysis.bootstrap import Score, bootstrap
from synth2obs.analysis.proof.statistics import share

DEEP = 0.05
"""True mean depth from which a missing line counts for ``element_top1_deep``."""

BEST = 3
"""Elements among which the true one is for ``element_top3``."""


def element_scores(
    lines: Sequence[AttributedLine],
    wanted: NDArray[np.str_],
    depth: NDArray[np.float64],
    hit: NDArray[np.bool_],
    draws: int,
) -> dict[str, Score]:
    """Share of the missing lines that are found, and how many of these have the right element.

    Of several found at one missing line the most significant counts.

    Args:
        lines: That a method found, M.
        wanted: Elements of the missing lines, shape (W,).
        depth: Their true depth, mean over stars, shape (W,).
        hit: Whether a found line lies at a missing one, shape (M, W).
        draws: Bootstrap samples.
    """
    seen = np.asarray(hit.any(0))
    scores = {"lines_found": share(seen, np.arange(len(seen)), draws)}
    if not seen.any():
        return scores
    best = [_strongest(lines, column) for column in hit.T[seen]]
    pairs = list(zip(best, wanted[seen].tolist(), strict=True))
    right = np.array([line.element == element for line, element in pairs], bool)
    among = np.array([element in _ranked(line)[:BEST] for line, element in pairs], bool)
    stated = np.array([line.probability for line in best])
    every, deep = np.arange(len(right)), depth[seen] > DEEP
    scores |= {"element_top1": share(right, every, draws), "element_top3": share(among, every, draws)}
    if deep.any():
        scores["element_top1_deep"] = share(right[deep], np.arange(int(deep.sum())), draws)
    scores["element_stated"] = bootstrap(lambda rows: float(stated[rows].mean()), every, draws)
    wrong = (stated - right) ** 2
    scores["element_brier"] = bootstrap(lambda rows: float(wrong[rows].mean()), every, draws)
    return scores


def _ranked(line: AttributedLine) -> list[str]:
    """Elements, the most probable first."""
    names = [name for name in line.probabilities if name != NONE]
    return sorted(names, key=lambda name: -line.probabilities[name])


def _strongest(lines: Sequence[AttributedLine], among: NDArray[np.bool_]) -> AttributedLine:
    """The most significant of some lines."""
    return max(
        (line for line, one in zip(lines, among, strict=True) if one), key=lambda line: line.significance
    )
