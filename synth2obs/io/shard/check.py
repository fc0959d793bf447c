"""Check a shard: name everything that is wrong with it, or refuse it."""

from collections.abc import Iterator
from pathlib import Path

import h5py

from synth2obs.core.errors import DataError
from synth2obs.core.spectra_rules import refuse
from synth2obs.io.shard.contents import header_problems
from synth2obs.io.shard.layout import CHUNK_ROWS, open_shard
from synth2obs.io.shard.rules import Problem, fields, guarded, row_problems

__all__ = ["Problem", "check_shard", "refuse", "require_valid"]


def check_shard(path: str | Path) -> list[Problem]:
    """All that is wrong with a file, as a list; empty for a valid shard.

    Reads every byte of flux and inverse variance, in blocks, so that checksums are verified too.
    """
    try:
        with open_shard(path) as file:
            problems = header_problems(file)
            if not fields(problems) & {"flux", "ivar", "flags"}:
                problems += _first_of_each(guarded(_all_rows(file), "flux"))
            return problems
    except DataError as error:
        message = str(error).removeprefix(f"{path}: ").removesuffix(f"; {error.remedy}")
        return [Problem("file", message, error.remedy or "copy the file again")]


def require_valid(path: str | Path) -> None:
    """Refuse a shard that is not valid.

    Raises:
        DataError: Naming all that is wrong.
    """
    refuse(check_shard(path), path)


def _all_rows(file: h5py.File) -> Iterator[Problem]:
    has_ivar = "ivar" in file
    for first in range(0, len(file["flux"]), CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        yield from row_problems(file["flux"][rows], file["ivar"][rows] if has_ivar else None, first)
        if "flags" in file:
            file["flags"][rows]


def _first_of_each(problems: Iterator[Problem]) -> list[Problem]:
    """One problem of each sort: a file can have millions of bad pixels."""
    seen: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        seen.setdefault((problem.field, problem.message.split(" (")[0]), problem)
    return list(seen.values())
