"""What every rule of the shard format works with: problems, their fields, and data that cannot be read."""

from collections.abc import Iterable, Iterator

from synth2obs.core.spectra_rules import Problem, row_problems
from synth2obs.io.shard.layout import reason

__all__ = ["Problem", "fields", "guarded", "row_problems"]


def fields(problems: Iterable[Problem]) -> set[str]:
    """Datasets and attributes that have a problem."""
    return {problem.field for problem in problems}


def guarded(problems: Iterator[Problem], field: str) -> Iterator[Problem]:
    """The problems of one rule; data that cannot be read are one of them, and do not end the search."""
    try:
        yield from problems
    except (OSError, ValueError, TypeError) as error:
        yield Problem(field, reason(error), "copy or build the file again")
