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
    remedy = "set its ivar to 0 and flux to 0"
    yield from _at("flux", "NaN or infinite in a good pixel", finite | ~used, first, remedy)
    remedy = "set the flux to 0 where ivar is 0"
    yield from _at("flux", "NaN or infinite in a bad pixel", finite | used, first, remedy)
    if ivar is not None:
        remedy = "use 0 for a bad pixel; scale tiny fluxes up"
        yield from _at("ivar", "NaN or infinite", np.isfinite(ivar), first, remedy)
        yield from _at("ivar", "negative", ~(ivar < 0), first, "use 0 for a bad pixel")


def _at(field: str, what: str, fine: NDArray[np.bool_], first: int, remedy: str) -> Iterator[Problem]:
    """What is wrong where it is not fine, with the place of the first such pixel."""
    if not fine.all():
        row, pixel = (int(i) for i in np.argwhere(~fine)[0])
        count = int((~fine).sum())
        where = f"(row {first + row}, pixel {pixel}; {count} such in these rows)"
        yield Problem(field, f"{what} {where}", remedy)
