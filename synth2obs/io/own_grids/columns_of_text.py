"""Outputs of synthesis codes: columns of numbers without names, a file a spectrum."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text

Array = NDArray[np.float64]

COMMENTS = ("#", "!")


def read_numbers(path: Path, least: int) -> Array:
    """All columns of a text file, separated by blanks or commas, shape (columns, L).

    Args:
        path: The file; lines that begin with ``#`` or ``!`` do not count.
        least: Number of columns that must be there.

    Raises:
        DataError: If it holds anything but numbers, or has fewer columns.
    """
    try:
        text = read_text(path, fallback="latin-1").replace(",", " ")
        table = np.loadtxt(text.splitlines(), comments=COMMENTS, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(
            f"is no table of numbers ({error})", path=path, remedy="check the format and the file"
        ) from error
    if table.shape[1] < least or len(table) < 2:
        raise DataError(
            f"has {len(table)} rows of {table.shape[1]} columns, needs {least} columns",
            path=path,
            remedy="check the format and the file",
        )
    return np.ascontiguousarray(table.T)
