"""Theory that lacks lines: some features of a grid set to the continuum."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.proof.features import Feature
from synth2obs.core.spectra import Spectra

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lines:
    """Features of a grid, and which of them theory lacks.

    Args:
        features: All of them, W.
        removed: Which theory lacks, shape (W,).
        taken: Share of the line absorption that was taken from theory in every cell of the grid, shape (L,).
    """

    features: Sequence[Feature]
    removed: NDArray[np.bool_]
    taken: Floats

    def gap(self, flux: NDArray[np.floating]) -> Floats:
        """What nature's spectra (N, L) have and theory lacks: negative where lines are missing."""
        return np.asarray(self.taken * (flux - 1.0))


def lines_removed(
    grid: Spectra, features: Sequence[Feature], share: float, seed: int, strength: float = 1.0
) -> Lines:
    """Choose a share of the features, elements in turn as long as they have any, and say what is taken.

    Args:
        grid: Its wavelengths and its resolution: a window's ends fall off as its line spread does.
        features: Among which.
        share: How many of them.
        seed: Of the choice.
        strength: Share of each that is taken.
    """
    removed = balanced([feature.element for feature in features], round(share * len(features)), seed)
    return Lines(tuple(features), removed, strength * _inside(grid, features, removed))


def _inside(grid: Spectra, features: Sequence[Feature], chosen: NDArray[np.bool_]) -> Floats:
    """1 in the windows of some features, falling off beyond their ends, shape (L,)."""
    wavelength, inside = np.asarray(grid.wavelength, float), np.zeros(len(grid.wavelength))
    sigma = np.asarray(grid.line_spread.sigma[0], float)
    for feature in (feature for feature, one in zip(features, chosen, strict=True) if one):
        beyond = np.maximum(feature.start - wavelength, wavelength - feature.stop).clip(min=0.0)
        inside = np.maximum(inside, np.exp(-0.5 * (beyond / sigma) ** 2))
    inside[inside < 1e-6] = 0.0
    return inside


def shared_out(grid: Spectra, lines: Lines, seed: int, strength: float = 1.0) -> tuple[Lines, Lines]:
    """What two surveys have of the lines that theory lacks: half of them each, of every element in turn.

    Together they take what ``lines`` does, also where windows meet.

    Args:
        grid, strength: As for `lines_removed`.
        lines: That theory lacks.
        seed: Of the choice.
    """
    rows = np.random.default_rng(seed).permutation(np.nonzero(lines.removed)[0])
    elements = np.array([lines.features[row].element for row in rows])
    first = np.zeros_like(lines.removed)
    first[rows[np.argsort(elements, kind="stable")][::2]] = True
    taken = np.minimum(strength * _inside(grid, lines.features, first), lines.taken)
    one = replace(lines, removed=first, taken=taken)
    return one, replace(lines, removed=lines.removed & ~first, taken=lines.taken - taken)


def balanced(elements: Sequence[str], count: int, seed: int) -> NDArray[np.bool_]:
    """Rows chosen at random, one of each element in turn, and at most half of any element's, shape (N,).

    What is left of an element tells how much of it a star has.
    """
    random, chosen = np.random.default_rng(seed), np.zeros(len(elements), bool)
    names = np.array(elements)
    left = {}
    for name in sorted(set(elements)):
        rows = random.permutation(np.nonzero(names == name)[0])
        left[name] = rows[: (len(rows) + 1) // 2].tolist()
    for _ in range(count):
        open_ = [name for name in left if left[name]]
        if not open_:
            break
        fewest = min(int(chosen[names == name].sum()) for name in open_)
        turn = [name for name in open_ if int(chosen[names == name].sum()) == fewest]
        chosen[left[str(random.choice(turn))].pop()] = True
    return chosen


def without(grid: Spectra, lines: Lines) -> Spectra:
    """The grid as it would be without these lines: flux towards 1, and its gradients towards 0."""
    left = 1.0 - lines.taken
    flux = (lines.taken + left * grid.flux).astype(grid.flux.dtype)
    gradients = grid.gradients
    if gradients is not None:
        values = {name: (left * rows).astype(rows.dtype) for name, rows in gradients.values.items()}
        gradients = replace(gradients, values=values)
    return replace(grid, flux=flux, gradients=gradients)
