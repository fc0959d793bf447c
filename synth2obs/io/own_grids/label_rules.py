"""From an owner's labels to the project's: names, scales, and values that can be true."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.config import Section
from synth2obs.core.errors import DataError
from synth2obs.core.labels import KNOWN, plausible, unit_of
from synth2obs.core.names import label_suggestion

Array = NDArray[np.float64]

NEEDED = ("teff",)
"""Without which no emulator can learn the grid."""


class LabelRule(Section):
    """How a label follows from an owner's column: scale · (column, or 10^column) + offset − minus.

    Args:
        column: The owner's name.
        scale: Factor, e.g. 1000 for Teff in 1000 K.
        offset: Added after it, in the label's unit.
        log10: Whether the column holds the decimal logarithm of the value.
        minus: Column that is subtracted, e.g. [Fe/H] from [X/H]; scale and offset do not touch it.
    """

    column: str
    scale: float = 1.0
    offset: float = 0.0
    log10: bool = False
    minus: str = ""

    def __call__(self, columns: Mapping[str, Array]) -> Array:
        """The label of every spectrum, shape (N,)."""
        values = columns[self.column]
        values = self.scale * (10.0**values if self.log10 else values) + self.offset
        return values - columns[self.minus] if self.minus else values


def refuse_unknown(names: Iterable[str]) -> None:
    """Refuse labels that the project does not have, and a grid without Teff.

    Raises:
        ValueError: Naming the nearest that it has.
    """
    names = list(names)
    for name in names:
        if name not in KNOWN:
            near = difflib.get_close_matches(label_suggestion(name), KNOWN, 3, cutoff=0.4)
            known = f"the nearest are {', '.join(near)}" if near else f"there are {', '.join(KNOWN[:10])} …"
            raise ValueError(f"unknown label {name!r}: {known}")
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise ValueError(f"a grid needs {', '.join(missing)}")


def make_labels(
    rules: Mapping[str, LabelRule], columns: Mapping[str, Array], names: NDArray[np.str_], path: Path
) -> dict[str, Array]:
    """Labels in the project's units.

    Args:
        rules: By label.
        columns: The owner's columns, shape (N,) each.
        names: Of the spectra, for messages, shape (N,).
        path: Where the columns stand.

    Raises:
        DataError: For a value that is not finite or cannot be, and for two spectra with the same labels.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        labels = {name: rule(columns) for name, rule in rules.items()}
    for name, values in labels.items():
        _refuse_values(name, values, rules[name], names, path)
    refuse_twins(labels, names, path)
    return labels


def refuse_twins(labels: Mapping[str, Array], names: NDArray[np.str_], path: Path) -> None:
    """Refuse two spectra with the same labels.

    Raises:
        DataError: Naming the first two.
    """
    table = np.stack(list(labels.values()), axis=1)
    unique, inverse, counts = np.unique(table, axis=0, return_inverse=True, return_counts=True)
    if len(unique) < len(table):
        first, second = names[inverse.ravel() == int(np.argmax(counts > 1))][:2]
        raise DataError(
            f"{first} and {second} have the same labels, {len(table) - len(unique)} rows are repeated",
            path=path,
            field="labels",
            remedy="keep one of each, or describe the label in which they differ",
        )


def _refuse_values(name: str, values: Array, rule: LabelRule, names: NDArray[np.str_], path: Path) -> None:
    lower, upper = plausible(name)
    bad = ~((values >= lower) & (values <= upper))
    if bad.any():
        row = int(np.argmax(bad))
        finite = np.isfinite(values[row])
        remedy = f"check unit and scale of column {rule.column!r}" if finite else "leave such spectra out"
        raise DataError(
            f"is {values[row]:g} {unit_of(name)} for {names[row]} ({int(bad.sum())} such), "
            f"not within {lower:g} to {upper:g}",
            path=path,
            field=f"labels.{name}",
            remedy=remedy,
        )
