"""What a broken rule of the shard format is, and the rules about rows of flux."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.io.shard.layout import reason


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a shard.

    Args:
        field: Dataset or attribute.
        message: What is wrong, with the value that was found.
        remedy: What to do about it.
    """

    field: str
    message: str
    remedy: str

    def __str__(self) -> str:
        """Field, message and remedy in one line."""
        return f"{self.field}: {self.message}; {self.remedy}"


def fields(problems: Iterable[Problem]) -> set[str]:
    """Datasets and attributes that have a problem."""
    return {problem.field for problem in problems}


def guarded(problems: Iterator[Problem], field: str) -> Iterator[Problem]:
    """The problems of one rule; data that cannot be read are one of them, and do not end the search."""
    try:
        yield from problems
    except (OSError, ValueError, TypeError) as error:
        yield Problem(field, reason(error), "copy or build the file again")


def row_problems(flux: NDArray[Any], ivar: NDArray[Any] | None, first: int) -> Iterator[Problem]:
    """Everything wrong with consecutive rows of flux and inverse variance; ``first`` is their row number."""
    finite = np.isfinite(flux)
    used = np.ones_like(finite) if ivar is None else ivar > 0
    if not (finite | ~used).all():
        yield _at(
            "flux",
            "NaN or infinite in a good pixel",
            finite | ~used,
            first,
            "set its ivar to 0 and flux to 0",
        )
    if not (finite | used).all():
        yield _at(
            "flux",
            "NaN or infinite in a bad pixel",
            finite | used,
            first,
            "set the flux to 0 where ivar is 0",
        )
    if ivar is None:
        return
    if not np.isfinite(ivar).all():
        yield _at(
            "ivar", "NaN or infinite", np.isfinite(ivar), first, "use 0 for a bad pixel; scale tiny fluxes up"
        )
    if (ivar < 0).any():
        yield _at("ivar", "negative", ~(ivar < 0), first, "use 0 for a bad pixel")


def _at(field: str, what: str, fine: NDArray[np.bool_], first: int, remedy: str) -> Problem:
    row, pixel = (int(i) for i in np.argwhere(~fine)[0])
    count = int((~fine).sum())
    return Problem(field, f"{what} (row {first + row}, pixel {pixel}; {count} such in these rows)", remedy)
