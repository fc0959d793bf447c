r"""How large a survey's errors are, by its repeated stars: a factor on quoted σ, and an error that goes with the flux.

.. math:: \mathrm{var}\, d = e^2(\lambda)\, \mathrm{var_{quoted}}\, d + \varphi^2 (f_1^2 + c^2 f_2^2) ,

with d as in `models.noise.visits`. ln e is linear between nodes in ln λ. Errors are right when 31.7 % of differences
lie beyond 1 σ, at every node and in bright and faint pixels alike; how far those lie, sky lines among them, does not
count. With z a pull and q the share that noise has in its variance,

.. math:: \sum q\, (1_{|z| > 1} - 0.317) = 0 , \qquad \sum (1 - q) (1_{|z| > 1} - 0.317) = 0 ,

is solved by Newton's steps. Errors are a jackknife over groups of stars.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra
from synth2obs.models.noise.survey_noise import NODES, ErrorScale
from synth2obs.models.noise.visits import Difference, difference, neighbours

Floats = NDArray[np.float64]

FEWEST = 8
"""Repeated stars below which a survey's errors are taken as quoted: a jackknife needs groups."""

MOST = 400
"""Pairs of visits that are enough."""

GROUPS = 8
"""Parts of the stars, each left out once, from which errors follow."""

ROUNDS = 30
"""Newton's steps."""

ONE_SIGMA = 0.682689
"""Of a normal variable, the share within 1 σ."""

DENSITY = 0.241971
"""Of a standard normal variable at 1: by how much the share beyond 1 σ grows with the logarithm of the variance."""

BELIEVED = 1.0
"""Width of the prior on ln e, about quoted errors: it holds nodes that no pixel is near."""

FLOORS = 1e-8, 1e-2
"""Range of φ²; at the lower end it is taken to be 0."""


class Repeats(NamedTuple):
    """Pairs of neighbouring visits, M of them.

    Args:
        star: Whose they are, shape (M,).
        pairs: Their differences.
    """

    star: NDArray[np.str_]
    pairs: Sequence[Difference]

    @property
    def stars(self) -> int:
        """How many stars."""
        return len(np.unique(self.star))

    def take(self, rows: NDArray[np.bool_]) -> "Repeats":
        """Some of the pairs."""
        return Repeats(self.star[rows], [pair for pair, kept in zip(self.pairs, rows, strict=True) if kept])


def find_repeats(spectra: Spectra, order: int, star: NDArray[np.str_] | None = None) -> Repeats:
    """Neighbouring visits of a survey's stars, `MOST` at most.

    Args:
        spectra: Of one survey.
        order: Degree of the continuum's polynomial on every detector.
        star: Name of every spectrum's star, shape (N,); by default what the survey calls it.

    Raises:
        DataError: If the spectra have no ivar.
    """
    named: list[str] = []
    found: list[Difference] = []
    for name, first, second in neighbours(spectra, star):
        pair = difference(spectra, first, second, order) if len(found) < MOST else None
        if pair is not None:
            named.append(name)
            found.append(pair)
    return Repeats(np.array(named, dtype=str), found)


def nodes_of(wavelength: Floats, count: int = NODES) -> Floats:
    """Nodes in ln λ, each in the middle of as many pixels, (P,) → (K,): detectors share them by their pixels."""
    ordered = np.log(np.sort(np.asarray(wavelength, float).ravel()))
    return np.array([part.mean() for part in np.array_split(ordered, min(count, len(ordered)))])


def learn_scale(repeats: Repeats, nodes: Floats) -> ErrorScale:
    """Factor on quoted errors and floor.

    Args:
        repeats: One star at least.
        nodes: ln λ, increasing, shape (K,).

    Raises:
        ValueError: If there is no repeat.
    """
    if not len(repeats.pairs):
        raise ValueError("no star has two spectra, got 0 pairs; errors of such a survey stay as quoted")
    _, number = np.unique(repeats.star, return_inverse=True)
    group = number % min(GROUPS, repeats.stars)
    sample = _stacked(repeats, nodes)
    whole = _scored(sample, np.ones(len(group), bool))
    left_out = [_scored(sample, group != left) for left in np.unique(group)]
    error = _jackknife(np.array(left_out)) if len(left_out) > 1 else np.full(len(whole), np.nan)
    scale, floor = np.exp(0.5 * whole[:-1]), float(np.exp(0.5 * whole[-1]))
    floor = floor if whole[-1] > np.log(FLOORS[0]) + 1e-6 else 0.0
    return ErrorScale(nodes, scale, 0.5 * scale * error[:-1], floor, 0.5 * floor * error[-1], repeats.stars)


def pair_variance(pair: Difference, scale: ErrorScale, *, floor: bool = True) -> Floats:
    """Of a difference by corrected errors, shape (P,); without the floor it is what a fit takes for photon noise."""
    noise = scale.at(pair.log_wave) ** 2 * pair.quoted
    return noise + scale.floor**2 * pair.light if floor else noise


def pull_width(
    repeats: Repeats, scale: ErrorScale | None = None, *, floor: bool = True
) -> tuple[float, float]:
    """Half-width of the central 68 % of differences over their errors, and its error by a jackknife over stars.

    Args:
        repeats: One pair at least.
        scale: By which errors are corrected; None: as quoted.
        floor: Whether the part that goes with the flux counts.
    """
    pulls = [_pulls(pair, scale, floor) for pair in repeats.pairs]
    _, number = np.unique(repeats.star, return_inverse=True)
    group = number % min(GROUPS, repeats.stars)
    width = [_width([p for p, g in zip(pulls, group, strict=True) if g != left]) for left in np.unique(group)]
    error = float(_jackknife(np.array(width)[:, None])[0]) if len(width) > 1 else float("nan")
    return _width(pulls), error


def _pulls(pair: Difference, scale: ErrorScale | None, floor: bool) -> Floats:
    variance = pair.quoted if scale is None else pair_variance(pair, scale, floor=floor)
    return np.asarray(pair.value[pair.good] / np.sqrt(variance[pair.good]))


def _width(pulls: Sequence[Floats]) -> float:
    return float(np.quantile(np.abs(np.concatenate(pulls)), ONE_SIGMA))


class _Sample(NamedTuple):
    """Good pixels of all pairs, Q of them."""

    square: Floats  # d²
    quoted: Floats
    light: Floats
    left: NDArray[np.intp]  # node to the left
    share: Floats  # of the node to the right
    pair: NDArray[np.intp]
    nodes: int

    def take(self, pairs: NDArray[np.bool_]) -> "_Sample":
        """Pixels of some of the pairs."""
        rows = pairs[self.pair]
        columns = self.square[rows], self.quoted[rows], self.light[rows]
        return _Sample(*columns, self.left[rows], self.share[rows], self.pair[rows], self.nodes)


def _stacked(repeats: Repeats, nodes: Floats) -> _Sample:
    def joined(name: str) -> Floats:
        return np.concatenate([getattr(pair, name)[pair.good] for pair in repeats.pairs])

    at = np.interp(joined("log_wave"), nodes, np.arange(len(nodes)))
    left = np.clip(at.astype(np.intp), 0, max(len(nodes) - 2, 0))
    pair = np.repeat(np.arange(len(repeats.pairs)), [int(pair.good.sum()) for pair in repeats.pairs])
    return _Sample(joined("value") ** 2, joined("quoted"), joined("light"), left, at - left, pair, len(nodes))


def _scored(whole: _Sample, rows: NDArray[np.bool_]) -> Floats:
    """Of e² at the nodes and φ² the logarithms, shape (K + 1,)."""
    own = whole.take(rows)
    logs = np.append(np.zeros(own.nodes), np.log(1e-5))
    right = np.minimum(own.left + 1, own.nodes - 1)
    believed = np.append(np.full(own.nodes, (2.0 * BELIEVED) ** -2), 0.0)
    for _ in range(ROUNDS):
        scale = np.exp((1 - own.share) * logs[own.left] + own.share * logs[right])
        noise, floor = scale * own.quoted, np.exp(logs[-1]) * own.light
        excess = ((own.square > noise + floor) - (1.0 - ONE_SIGMA)) / DENSITY
        slope, bend = _normal(own, right, noise / (noise + floor), excess)
        step = np.linalg.solve(bend + np.diag(believed) + 1e-9 * np.eye(len(logs)), slope - believed * logs)
        logs = logs + np.clip(step, -1.0, 1.0)
        logs[-1] = np.clip(logs[-1], *np.log(FLOORS))
    return np.asarray(logs)


def _normal(own: _Sample, right: NDArray[np.intp], share: Floats, excess: Floats) -> tuple[Floats, Floats]:
    """Slope and Fisher matrix of the logs, half of both, a pixel's share in its noise being ``share``."""
    count = own.nodes

    def summed(at: NDArray[np.intp], values: Floats) -> Floats:
        return np.asarray(np.bincount(at, values, count), float)

    one, two = (1 - own.share) * share, own.share * share
    slope = np.append(
        summed(own.left, one * excess) + summed(right, two * excess), ((1 - share) * excess).sum()
    )
    bend = np.zeros((count + 1, count + 1))
    inner = np.diag(summed(own.left, one**2) + summed(right, two**2))
    beside = summed(own.left, one * two)
    index = np.arange(count)
    np.add.at(inner, (index, np.minimum(index + 1, count - 1)), beside)
    np.add.at(inner, (np.minimum(index + 1, count - 1), index), beside)
    bend[:-1, :-1] = inner
    bend[:-1, -1] = bend[-1, :-1] = summed(own.left, one * (1 - share)) + summed(right, two * (1 - share))
    bend[-1, -1] = ((1 - share) ** 2).sum()
    return slope, bend


def _jackknife(values: Floats) -> Floats:
    """Errors of numbers (G, Q) found with one of G groups left out each, shape (Q,)."""
    count = len(values)
    return np.asarray(np.sqrt(((values - values.mean(0)) ** 2).sum(0) * (count - 1) / count))
