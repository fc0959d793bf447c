"""A source of spectra that are ready for a shard: labels and pixels are known, flux comes in blocks."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class GradientPart:
    """∂flux/∂label of some spectra of a source.

    Args:
        index: Row of each in the source, shape (M,).
        steps: Of the finite differences, as the shard says them, by label.
        rows: Blocks of one label's gradients, shape (≤ 64, P).
    """

    index: NDArray[np.int64]
    steps: Mapping[str, Any]
    rows: Callable[[str], Iterator[Floats]]


@dataclass(frozen=True, kw_only=True)
class GridPart:
    """A source. N spectra, P pixels.

    Args:
        path: The description or shard, for messages.
        table: Everything but the flux, which has the shape (N, 0).
        flux: Blocks of it, shape (≤ 64, P), in order.
        gradients: Those of a shard that has some.
    """

    path: Path
    table: Spectra
    flux: Callable[[], Iterator[Floats]]
    gradients: GradientPart | None = None

    def __len__(self) -> int:
        """Number of spectra."""
        return len(self.table)


def without_flux(stars: int) -> Floats:
    """What stands in a table for the flux of so many spectra."""
    return np.empty((stars, 0), dtype=np.float32)
