r"""Linear regression in which most coefficients are exactly zero: a spike and a slab.

.. math:: y = \sum_j x_j \Delta_j + \epsilon ,\qquad \Delta_j \sim \pi_j N(0, \tau_j^2) + (1 - \pi_j)\,\delta_0

(Mitchell & Beauchamp 1988, J. Am. Stat. Assoc. 83, 1023). Given which coefficients are not zero, all is Gaussian and
closed. Sets of them are visited best first, each set's neighbours being those with one more or one less, until all that
is left to visit is far less probable than the best; probabilities are shared among the sets that were visited.
"""

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Chosen = tuple[int, ...]

FAR = 10.0
"""ln of how much less probable than the best a set is whose neighbours are not visited."""

MOST = 100
"""Sets whose neighbours are visited."""


KEPT = 400
"""Sets that share the probability, the best ones."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A regression in units of its noise. n data, M coefficients.

    Args:
        design: x, shape (n, M), divided by the noise.
        data: y, shape (n,), likewise.
        width: τ, shape (M,).
        log_odds: ln π/(1 − π), shape (M,); infinite for a coefficient that is always there.
    """

    design: Floats
    data: Floats
    width: Floats
    log_odds: Floats


@dataclass(frozen=True, kw_only=True)
class SparsePosterior:
    """What is known of M coefficients.

    Args:
        sets: The best sets of non-zero coefficients of those that were visited.
        weight: Their probabilities, shape (S,).
        probability: That each is not zero, shape (M,).
        mean, covariance: Of the coefficients, zeros included, shapes (M,) and (M, M).
    """

    sets: tuple[Chosen, ...]
    weight: Floats
    probability: Floats
    mean: Floats
    covariance: Floats

    @property
    def sigma(self) -> Floats:
        """Standard deviations of the coefficients, shape (M,)."""
        return np.sqrt(np.clip(np.diag(self.covariance), 0.0, None))

    def none_of(self, members: NDArray[np.intp]) -> float:
        """Probability that all of some coefficients are zero."""
        some = set(members.tolist())
        empty = np.array([not some & set(chosen) for chosen in self.sets])
        return float(self.weight[empty].sum())


def sparse_posterior(problem: Problem) -> SparsePosterior:
    """The posterior of a regression."""
    scores, width = _Scores(problem), len(problem.width)
    found = scores.visited()
    sets = tuple(sorted(found, key=lambda chosen: -found[chosen])[:KEPT])
    log = np.array([found[chosen] for chosen in sets])
    weight = np.exp(log - log[0])
    weight /= weight.sum()
    mean, square, inside = np.zeros(width), np.zeros((width, width)), np.zeros(width)
    for chosen, share in zip(sets, weight, strict=True):
        index = np.array(chosen, dtype=int)
        middle, covariance = scores.given(chosen)
        mean[index] += share * middle
        square[np.ix_(index, index)] += share * (covariance + np.outer(middle, middle))
        inside[index] += share
    return SparsePosterior(
        sets=sets, weight=weight, probability=inside, mean=mean, covariance=square - np.outer(mean, mean)
    )


class _Scores:
    """Log posterior of sets of coefficients."""

    def __init__(self, problem: Problem) -> None:
        scaled = problem.design * problem.width
        self.width = problem.width
        self.gram, self.pull = scaled.T @ scaled, scaled.T @ problem.data
        self.free = np.isfinite(problem.log_odds)
        self.log_odds = np.where(self.free, problem.log_odds, 0.0)

    def visited(self) -> dict[Chosen, float]:
        """Ln posterior, up to a constant, of the sets that were visited and are not far from the best."""
        start = tuple(np.flatnonzero(~self.free).tolist())
        found = {start: 0.0}
        waiting, best = [(0.0, start)], 0.0
        for _ in range(MOST):
            if not waiting or -waiting[0][0] < best - FAR:
                break
            minus, chosen = heapq.heappop(waiting)
            gains = self._gains(chosen) - minus
            best = max(best, float(gains.max(initial=-np.inf)))
            for number in np.flatnonzero(gains > best - FAR).tolist():
                other = tuple(sorted({number} ^ set(chosen)))
                if other not in found:
                    found[other] = float(gains[number])
                    heapq.heappush(waiting, (-found[other], other))
        return found

    def _gains(self, chosen: Chosen) -> Floats:
        """What ln posterior gains if each coefficient enters a set, or leaves it if it is there, shape (M,).

        Inverse and determinant of a matrix with a row and column more or less are closed (Schur complement).
        """
        index = np.array(chosen, dtype=int)
        inverse = np.linalg.inv(np.eye(len(index)) + self.gram[np.ix_(index, index)])
        middle, cross = inverse @ self.pull[index], self.gram[index]
        size = 1.0 + np.diag(self.gram) - np.einsum("km,km->m", cross, inverse @ cross)
        pull = self.pull - middle @ cross
        gains = np.full(len(self.pull), -np.inf)
        outside = self.free.copy()
        outside[index] = False
        gains[outside] = (0.5 * pull**2 / np.maximum(size, 1e-12) - 0.5 * np.log(np.maximum(size, 1e-12)))[
            outside
        ] + self.log_odds[outside]
        own = np.diag(inverse)
        leaving = -0.5 * middle**2 / own - 0.5 * np.log(own) - self.log_odds[index]
        gains[index] = np.where(self.free[index], leaving, -np.inf)
        return gains

    def given(self, chosen: Chosen) -> tuple[Floats, Floats]:
        """Mean and covariance of the coefficients of a set, given that they are not zero."""
        index = np.array(chosen, dtype=int)
        width = self.width[index]
        inverse = np.linalg.inv(np.eye(len(index)) + self.gram[np.ix_(index, index)])
        return width * (inverse @ self.pull[index]), inverse * np.outer(width, width)
