"""The gap of a survey as changes of log gf: what is regressed on what, and the answer for every line."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, csr_array
from scipy.sparse.csgraph import connected_components

from synth2obs.analysis.line_overlay.response import Response
from synth2obs.analysis.line_overlay.sparse import Problem, SparsePosterior, sparse_posterior

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

PASSES = 5
"""Rounds of changes given responses and priors, and these given the changes."""

MISFIT = 0.15
"""Error of a response, as a share of the gap there: strengths, curve of growth and profile are approximate."""

COUPLED, ALIKE = (0.2, 0.4, 0.6, 0.8), 0.9
"""Cosine of two responses from which they are regressed together, the higher ones for what would be too many, and from
which they cannot be told apart."""

TOGETHER = 40
"""Columns that are regressed together if it can be avoided; others are held at their means meanwhile."""

LARGEST = 2.0
"""dex: of a change whose response is looked for."""

SHIFT = 0.02
"""dex: by which the abundance of an element may be wrong in all its lines: labels were fitted."""


@dataclass(frozen=True, kw_only=True)
class Priors:
    """Priors of changes, learned from the gap as its own prior is.

    Args:
        wrong: Probability that a line under a gap is wrong.
        width: Standard deviation of the changes of those that are, dex.
        unlisted: Probability that a resolution element has a gap that is no listed line's.
        depth: Standard deviation of the depths of those.
    """

    wrong: float = 0.2
    width: float = 0.3
    unlisted: float = 0.01
    depth: float = 0.05

    def learned(
        self, lines: tuple[Floats, Floats], unlisted: tuple[Floats, Floats], right: int, elements: int
    ) -> "Priors":
        """The most probable ones (EM), given the probability of each coefficient and its mean square.

        Args:
            lines, unlisted: Of the lines and of those that the list lacks.
            right: Lines of the list beside these that could have been seen to be wrong, and are not.
            elements: Resolution elements of the survey.
        """
        first = Priors()
        wrong, width = _learned(*lines, first.wrong, first.width, len(lines[0]) + right)
        other, depth = _learned(*unlisted, first.unlisted, first.depth, elements)
        return Priors(
            wrong=float(np.clip(wrong, 0.02, 0.8)),
            width=float(np.clip(width, 0.1, 0.6)),
            unlisted=float(np.clip(other, 1e-4, 0.3)),
            depth=float(np.clip(depth, 0.01, 0.3)),
        )


PSEUDO = 4.0
"""Wrong lines, or unlisted ones, that the first values of the priors count as."""


def _learned(
    probability: Floats, square: Floats, share: float, width: float, count: int
) -> tuple[float, float]:
    """Share and width, given that ``count`` coefficients could have been different from zero."""
    found = (probability.sum() + PSEUDO) / (count + PSEUDO / share)
    spread = (square.sum() + PSEUDO * width**2) / (probability.sum() + PSEUDO)
    return float(found), float(np.sqrt(spread))


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A gap and what may have made it. L cells of the rest grid.

    Args:
        gap: Shape (L,); cells that are not known have infinite variance.
        variance: Of its noise, per independent cell, shape (L,).
        samples: Cells for each resolution element.
        responses: Of the lines that may be wrong, each with its feature.
        features: Feature of each line, shape (K,).
        profiles: Unit depth of an unlisted line at each feature, as cells and values.
        shifts: Response to the abundance of each element, shape (E, L).
        right: Lines under no feature that would have made one.
        elements: Resolution elements of the survey.
    """

    gap: Floats
    variance: Floats
    samples: float
    responses: Sequence[Response]
    features: Integers
    profiles: Sequence[tuple[slice, Floats]]
    shifts: Floats
    right: int = 0
    elements: int = 1


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is found. K lines, F features.

    Args:
        mean, sigma: Change of log gf, zeros included, dex, shape (K,).
        probability: That a line is wrong, shape (K,).
        group: Lines of one number cannot be told apart, shape (K,).
        none: Probability that no line of a feature is wrong, shape (F,).
        unlisted: Probability that a line is there that the list lacks, shape (F,).
        depth: Of that one, if it is there, shape (F,).
        priors: As learned.
    """

    mean: Floats
    sigma: Floats
    probability: Floats
    group: Integers
    none: Floats
    unlisted: Floats
    depth: Floats
    priors: Priors


def regress(problem: Regression, priors: Priors | None = None) -> Changes:
    """Changes of log gf that a gap asks for."""
    priors = priors or Priors()
    lines, features = len(problem.responses), len(problem.profiles)
    noise = np.sqrt(_noise(problem))
    mean = np.zeros(lines + features)
    found: list[tuple[Integers, SparsePosterior]] = []
    given = np.zeros(lines)
    for _ in range(PASSES):
        design = _whitened(_design(problem, given), noise)
        found = _blockwise(problem, design, noise, mean, priors)
        probability, square = np.zeros(len(mean)), np.zeros(len(mean))
        for members, posterior in found:
            mean[members] = posterior.mean[: len(members)]
            probability[members] = posterior.probability[: len(members)]
            square[members] = mean[members] ** 2 + posterior.sigma[: len(members)] ** 2
        given = _given(mean[:lines], probability[:lines])
        here, beside = slice(lines), slice(lines, None)
        priors = priors.learned(
            (probability[here], square[here]),
            (probability[beside], square[beside]),
            problem.right,
            problem.elements,
        )
    alike = _components(design[:, :lines], ALIKE)
    return replace(_gathered(problem, found, priors), group=alike)


def _given(mean: Floats, probability: Floats) -> Floats:
    """Change of each line if it is wrong."""
    given = mean / np.maximum(probability, 1e-3)
    return np.clip(np.where(probability > 1e-3, given, 0.0), -LARGEST, LARGEST)


def _noise(problem: Regression) -> Floats:
    """Variance of every cell: the noise, and what responses may be wrong by, shape (L,)."""
    size = max(int(round(problem.samples)), 1)
    known = np.where(np.isfinite(problem.variance), problem.gap, 0.0)
    nearby = np.convolve(known**2, np.ones(size) / size, mode="same")
    return problem.variance + problem.samples * MISFIT**2 * nearby


def _design(problem: Regression, given: Floats) -> csc_array:
    """Response per dex of every line at its change, and unit depths, shape (L, K + F)."""
    pieces = [
        (each.cells, each.secant(float(delta))) for each, delta in zip(problem.responses, given, strict=True)
    ]
    pieces += [(cells, -profile) for cells, profile in problem.profiles]
    rows = np.concatenate([np.arange(cells.start, cells.stop) for cells, _ in pieces] or [np.zeros(0, int)])
    columns = np.repeat(np.arange(len(pieces)), [cells.stop - cells.start for cells, _ in pieces])
    values = np.concatenate([values for _, values in pieces] or [np.zeros(0)])
    return csc_array((values, (rows, columns)), shape=(len(problem.gap), len(pieces)))


def _whitened(design: csc_array, noise: Floats) -> csc_array:
    inverse = np.where(np.isfinite(noise), 1.0 / noise, 0.0)
    return csc_array(design.multiply(inverse[:, None]))


def _components(design: csc_array, cosine: float, links: csr_array | None = None) -> Integers:
    """Columns that are alike, directly or through others, by number, shape (M,)."""
    norm = np.sqrt(np.asarray(design.multiply(design).sum(axis=0)).ravel())
    unit = csc_array(design.multiply(1.0 / np.maximum(norm, 1e-30)))
    near = csr_array(unit.T @ unit)
    near.data = np.abs(near.data) > cosine
    near.eliminate_zeros()
    whole = near if links is None else near + links
    return np.asarray(connected_components(whole, directed=False)[1], dtype=np.intp)


def _blocks(design: csc_array, links: csr_array) -> list[Integers]:
    """Columns that are regressed together."""
    waiting: list[tuple[Integers, int]] = [(np.arange(design.shape[1]), 0)]
    found = []
    while waiting:
        members, level = waiting.pop()
        if level and (len(members) <= TOGETHER or level == len(COUPLED)):
            found.append(members)
            continue
        # A gap and its lines stay together as long as that can be.
        own = links[members][:, members] if level < len(COUPLED) - 1 else None
        parts = _components(design[:, members], COUPLED[level], own)
        waiting += [(members[parts == number], level + 1) for number in range(int(parts.max(initial=-1)) + 1)]
    return found


def _blockwise(
    problem: Regression, design: csc_array, noise: Floats, mean: Floats, priors: Priors
) -> list[tuple[Integers, SparsePosterior]]:
    """The posterior of every set of coupled columns, given the mean of all others."""
    lines, features = len(problem.responses), len(problem.profiles)
    inverse = np.where(np.isfinite(noise), 1.0 / noise, 0.0)
    data, model = problem.gap * inverse, design @ mean
    links = csr_array(
        (np.ones(lines), (np.arange(lines), lines + problem.features)), shape=(lines + features,) * 2
    )
    blocks = _blocks(design, links)
    width = np.concatenate([np.full(lines, priors.width), np.full(features, priors.depth)])
    anywhere = _logit(priors.unlisted) - np.log(_place_errors(problem, noise))
    odds = np.concatenate([np.full(lines, _logit(priors.wrong)), anywhere])
    shifts = problem.shifts * inverse
    found = []
    for members in blocks:
        own = design[:, members]
        cells = np.flatnonzero(np.asarray(np.abs(own).sum(axis=1)).ravel() > 0)
        dense = own[cells].toarray()
        always = shifts[:, cells]
        always = always[np.abs(always).max(axis=1, initial=0.0) * SHIFT > 0.1].T
        found.append(
            (
                members,
                sparse_posterior(
                    Problem(
                        design=np.concatenate([dense, always], axis=1),
                        data=data[cells] - model[cells] + dense @ mean[members],
                        width=np.concatenate([width[members], np.full(always.shape[1], SHIFT)]),
                        log_odds=np.concatenate([odds[members], np.full(always.shape[1], np.inf)]),
                    )
                ),
            )
        )
    return found


def _place_errors(problem: Regression, noise: Floats) -> Floats:
    """Resolution over the error of each feature's place, shape (F,).

    An unlisted line may lie anywhere in a resolution element; that it lies where the gap is was read off the gap.
    """
    signal = [np.abs(problem.gap[cells]) / noise[cells] for cells, _ in problem.profiles]
    return np.array([max(float(each.max(initial=1.0)), 1.0) for each in signal])


def _logit(probability: float) -> float:
    return float(np.log(probability / (1.0 - probability)))


def _gathered(
    problem: Regression, found: Sequence[tuple[Integers, SparsePosterior]], priors: Priors
) -> Changes:
    lines, features = len(problem.responses), len(problem.profiles)
    mean, sigma, probability = (np.zeros(lines + features) for _ in range(3))
    none = np.ones(features)
    for members, posterior in found:
        size = len(members)
        mean[members], sigma[members] = posterior.mean[:size], posterior.sigma[:size]
        probability[members] = posterior.probability[:size]
        for feature in members[members >= lines] - lines:
            own = np.flatnonzero((members < lines) & (_feature_of(members, problem, lines) == feature))
            none[feature] = posterior.none_of(own)
    return Changes(
        mean=mean[:lines],
        sigma=sigma[:lines],
        probability=probability[:lines],
        group=np.arange(lines),
        none=none,
        unlisted=probability[lines:],
        depth=np.divide(
            mean[lines:], probability[lines:], out=np.zeros(features), where=probability[lines:] > 0
        ),
        priors=priors,
    )


def _feature_of(members: Integers, problem: Regression, lines: int) -> Integers:
    """Feature of each member that is a line, −1 of the others."""
    inside = members < lines
    return np.where(inside, problem.features[np.where(inside, members, 0)] if lines else -1, -1)
