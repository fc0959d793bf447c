"""Read shards: spectra of one domain in one HDF5 file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.rows import open_valid, read_rows

Rows = slice | Sequence[int] | NDArray[Any]


def read_shard(path: str | Path, rows: Rows | None = None) -> Spectra:
    """Read a shard, or some of its rows, into memory.

    Args:
        path: A shard.
        rows: A slice, row numbers or a boolean array; all rows if None.

    Raises:
        DataError: If the checker would refuse the file, or it does not have a row.
    """
    with open_valid(path) as file:
        return read_rows(file, _row_numbers(rows, len(file["flux"]), path), path)


def _row_numbers(rows: Rows | None, count: int, path: str | Path) -> NDArray[np.integer[Any]]:
    try:
        return np.atleast_1d(np.arange(count)[slice(None) if rows is None else np.s_[rows]])
    except IndexError as error:
        raise DataError(
            f"rows {rows} are not all there", path=path, remedy=f"it has rows 0 to {count - 1}"
        ) from error


def row_count(path: str | Path) -> int:
    """Number of spectra in a shard.

    Raises:
        DataError: If it breaks a rule that shows without reading the flux.
    """
    with open_valid(path) as file:
        return len(file["flux"])
