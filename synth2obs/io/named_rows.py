"""Rows of a shard by the names of their spectra."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.rows import open_valid

COMPARED = 100
"""Letters of a name by which it is compared and shown."""

NEAREST = 3
"""Known names that a refusal offers."""


def read_named(path: str | Path, names: Sequence[str], rows: Sequence[int] = ()) -> Spectra:
    """Spectra of a shard by name and by row number, in the order given; none is read twice.

    Args:
        path: A shard.
        names: Values of ``id``.
        rows: Numbers from 0.

    Raises:
        DataError: If the checker would refuse the file, or it lacks a name (the nearest that it has are
            offered) or a row.
    """
    wanted = dict.fromkeys([*row_numbers(path, names), *rows])
    return read_shard(path, list(wanted))


def row_numbers(path: str | Path, names: Sequence[str]) -> list[int]:
    """Row of each name.

    Raises:
        DataError: If a name is not in the shard, with the nearest that are.
    """
    with open_valid(path) as file:
        known = file["id"].asstr("utf-8")[:].tolist()
    row = {name: number for number, name in enumerate(known)}
    for name in names:
        if name not in row:
            raise DataError(
                f"no spectrum {_shown(name)!r}", path=path, field="id", remedy=_nearest(name, known)
            )
    return [row[name] for name in names]


def _nearest(name: str, known: list[str]) -> str:
    """What to ask for instead: names that contain this one, then similar ones, else the first of the shard."""
    inside = [one for one in known if name.lower() in one.lower()] if name else []
    # Comparing takes the product of the lengths.
    short = {one[:COMPARED]: one for one in reversed(known)}
    similar = [short[one] for one in difflib.get_close_matches(name[:COMPARED], short, NEAREST, cutoff=0.5)]
    near = [_shown(one) for one in dict.fromkeys([*inside, *similar])]
    if near:
        return f"the nearest of its {len(known)} are {', '.join(near[:NEAREST])}"
    return f"it has {len(known)}, the first are {', '.join(map(_shown, known[:NEAREST]))}"


def _shown(name: str) -> str:
    return name if len(name) <= COMPARED else f"{name[:COMPARED]}…"
