"""What a table of stars is to whoever reads one."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from synth2obs.core.errors import DataError

BLOCK = 64
"""Rows that are in memory at once."""

Block = Mapping[str, Any]
"""By name: numbers or text, shape (n,); arrays, shape (n, P); or n arrays of their own lengths."""


class StarTable(Protocol):
    """Named arrays of one file; those of stars have a row each.

    Args:
        path: The file.
        shapes: Of every array by name, the rows first; arrays of lengths that differ have the length −1.
    """

    path: Path
    shapes: Mapping[str, tuple[int, ...]]

    def whole(self, name: str) -> NDArray[Any]:
        """All of an array."""

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """Rows of arrays of equal length, in order, `BLOCK` at a time; what the file marks as blank is masked."""

    def unit(self, name: str) -> str:
        """Unit of an array as the file states it; nothing if it states none."""


class SlicedTable(ABC):
    """A `StarTable` whose rows can be asked for anywhere in the file."""

    path: Path
    shapes: Mapping[str, tuple[int, ...]]

    @abstractmethod
    def rows(self, name: str, rows: slice) -> NDArray[Any]:
        """Some rows of an array; no more than these are read."""

    @abstractmethod
    def unit(self, name: str) -> str:
        """As `StarTable` says."""

    def whole(self, name: str) -> NDArray[Any]:
        """All of an array."""
        return self.rows(name, slice(None))

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """As `StarTable` says."""
        for first in range(0, self.shapes[names[0]][0], BLOCK):
            yield {name: self.rows(name, slice(first, first + BLOCK)) for name in names}


def unit_in_yaml(text: str, name: str) -> str:
    """Unit of a column in the description that astropy writes into HDF5 and Parquet; nothing if there is none."""
    from astropy.table.meta import get_header_from_yaml

    try:
        columns = get_header_from_yaml(text.split("\n"))["datatype"]
    except Exception:
        return ""
    return next((str(one.get("unit") or "") for one in columns if one.get("name") == name), "")


def no_column(path: Path, name: str, there: Sequence[str]) -> DataError:
    """A refusal with the names that there are, each once: the short ones of what has two."""
    short = [one for one in there if re.split(r"[/.]", one)[-1] not in set(there) - {one}]
    return DataError("no such column", path=path, field=name, remedy=f"there are {', '.join(short)}")
