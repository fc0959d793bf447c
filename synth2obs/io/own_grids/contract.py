"""What a reader of grids owes: wavelengths, columns of labels, and flux in blocks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.io.own_grids.description import Description

Array = NDArray[np.float64]

BLOCK_ROWS = 64
BLOCK_NUMBERS = 2**24
"""Spectra, and fluxes, that a block has at most: 128 MiB in double precision."""


@dataclass(frozen=True, kw_only=True)
class ForeignGrid:
    """A grid as its owner has it. N spectra, L samples.

    Args:
        path: The file or folder, for messages.
        wavelength: In the owner's medium and unit, shape (L,).
        columns: The owner's labels, shape (N,) each.
        names: Of the spectra, unique, shape (N,); empty if they have none.
        files: All files that it was read from.
        own_files: That of each spectrum, N of them, if each has one.
        flux: Gives blocks of flux (≤ 64, samples), in order, for a slice of the samples.
    """

    path: Path
    wavelength: Array
    columns: Mapping[str, Array]
    names: tuple[str, ...] = ()
    files: tuple[Path, ...]
    own_files: tuple[Path, ...] = ()
    flux: Callable[[slice], Iterator[Array]]

    def __len__(self) -> int:
        """Number of spectra."""
        return len(next(iter(self.columns.values())))


@dataclass(frozen=True, kw_only=True)
class Format:
    """A way in which grids are stored.

    Args:
        read: Opens the grid of a description, given its files.
        defaults: Values of a description that the format has by itself.
        fixed: Values that it cannot have otherwise.
        shortest: Å below which a wavelength is taken for one in another unit.
    """

    read: Callable[[Description, tuple[Path, ...]], ForeignGrid]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    shortest: float = 2000.0


def block_rows(samples: int) -> int:
    """Spectra in a block."""
    return int(np.clip(BLOCK_NUMBERS // max(samples, 1), 1, BLOCK_ROWS))
