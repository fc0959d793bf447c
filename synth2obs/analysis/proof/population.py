"""Which spectra of a grid are nature, and which of them a survey's stars have."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.chance import chance
from synth2obs.core.errors import DataError
from synth2obs.core.labels import LabelSpace
from synth2obs.core.spectra import Spectra

ALPHA = ("mg_fe", "si_fe", "ca_fe", "ti_fe")
"""Elements whose mean is [α/Fe] where a grid has no such label."""

FEWEST = 12
"""Spectra of nature below which a survey of them says nothing."""

STEPS = 60
"""Newton steps of a tilt."""


def label_table(spectra: Spectra, names: tuple[str, ...]) -> NDArray[np.float64]:
    """Labels in a given order, shape (N, K).

    Raises:
        DataError: If one is not there.
    """
    missing = [name for name in names if name not in spectra.labels]
    if missing:
        raise DataError(
            f"labels {', '.join(missing)} are missing in {spectra.domain}",
            field="labels",
            remedy="theory and nature need the same labels",
        )
    return np.stack([np.asarray(spectra.labels[name], float) for name in names], axis=1)


def chances(seed: int, what: str, spectra: Spectra) -> NDArray[np.float64]:
    """A number in [0, 1) for every spectrum that depends on its name alone."""
    return np.array([chance(seed, f"{what}/{name}") for name in spectra.id])


def divide(
    grid: Spectra, nature: Spectra, share: float, seed: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of the grid that are theory, and rows of nature: no labels are in both.

    A share of nature's spectra is drawn by their names. Theory is the grid without these labels, and nature keeps
    those that lie inside what theory then covers. Spectra with gradients stay theory.

    Args:
        grid, nature: The same table if both have the same physics.
        share: Of nature's spectra.
        seed: Of the draw.

    Raises:
        DataError: If labels are missing, or too few spectra are left on a side.
    """
    names = tuple(grid.labels)
    mine, theirs = label_table(grid, names), label_table(nature, names)
    drawn = chances(seed, "nature", nature) < share
    with_gradients = mine[[] if grid.gradients is None else np.unique(grid.gradients.index)]
    drawn &= ~_among(theirs, with_gradients)
    theory = np.nonzero(~_among(mine, theirs[drawn]))[0]
    if len(theory) < FEWEST:
        raise DataError(
            f"{len(theory)} of {len(grid)} spectra of {grid.domain} are left as theory; {FEWEST} are needed",
            remedy="lower simulation.nature_share, or give a larger grid",
        )
    space = LabelSpace.from_values(names, mine[theory])
    rows = np.nonzero(drawn & ~space.outside(theirs).any(1))[0]
    if len(rows) < FEWEST:
        raise DataError(
            f"{len(rows)} spectra of {nature.domain} are nature (inside what theory covers); {FEWEST} are needed",
            remedy="raise simulation.nature_share, or give a larger grid",
        )
    return theory, rows


def _among(table: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each row of labels is also a row of others, to single precision, shape (N,)."""
    keys = {row.tobytes() for row in others.astype(np.float32)}
    return np.array([row.tobytes() in keys for row in table.astype(np.float32)], dtype=bool)


def direction_of(spectra: Spectra, direction: Mapping[str, float]) -> NDArray[np.float64]:
    """Standardised labels along a direction in label space, of unit variance, shape (N,).

    Args:
        spectra: Whose labels.
        direction: Weight of each standardised label; ``alpha_fe`` is the mean of `ALPHA` where it is no label.

    Raises:
        DataError: For a label that is not there.
    """
    total = np.zeros(len(spectra))
    for name, weight in direction.items():
        column = _label(spectra, name)
        total += weight * (column - column.mean()) / max(float(column.std()), 1e-12)
    return (total - total.mean()) / max(float(total.std()), 1e-12)


def _label(spectra: Spectra, name: str) -> NDArray[np.float64]:
    if name in spectra.labels:
        return np.asarray(spectra.labels[name], float)
    parts = [np.asarray(spectra.labels[x], float) for x in ALPHA if x in spectra.labels]
    if name != "alpha_fe" or not parts:
        raise DataError(
            f"no label {name!r} in {spectra.domain}",
            field="simulation.direction",
            remedy=f"choose among {', '.join(spectra.labels)}",
        )
    return np.asarray(np.mean(parts, axis=0))


def tilted(along: NDArray[np.float64], drift: float) -> NDArray[np.float64]:
    r"""Weights that move a mean and change as little else as they can: :math:`w \propto e^{b z}`, shape (N,).

    Of all weights with that mean they have the largest entropy; b solves :math:`\langle z \rangle_w = d`.

    Args:
        along: z, of zero mean and unit variance, shape (N,).
        drift: d, in standard deviations.

    Raises:
        DataError: If the spectra do not reach that far.
    """
    low, high = float(along.min()), float(along.max())
    if not low < drift < high:
        raise DataError(
            f"a drift of {drift} standard deviations is out of reach: spectra lie within {low:.2f} and {high:.2f}",
            field="drift",
            remedy="lower it, or raise simulation.nature_share",
        )
    slope = 0.0
    for _ in range(STEPS):
        exponent = slope * along
        weight = np.exp(exponent - exponent.max())
        weight /= weight.sum()
        mean = float(weight @ along)
        variance = float(weight @ (along - mean) ** 2)
        slope += float(np.clip((drift - mean) / max(variance, 1e-9), -1.0, 1.0))
    return weight


def drawn(weight: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Rows drawn with weights, each as often as its weight says to within one (systematic sampling), shape (count,)."""
    ends = np.cumsum(weight / weight.sum())
    places = (np.arange(count) + random.uniform()) / count
    rows = np.searchsorted(ends, places).clip(max=len(weight) - 1)
    return random.permutation(rows)
