"""Strong lines of the theory's line lists, as a table: what lies at a wavelength."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.io.embedded import resolve
from synth2obs.io.tables import read_table, require_columns

STRONG_LINES = "embedded:strong_lines"
"""Those of the embedded grid's line lists."""

COLUMNS = ("wavelength", "species", "log_strength")


@dataclass(frozen=True)
class StrongLines:
    """Lines by wavelength.

    Args:
        wavelength: Vacuum Å, increasing, shape (L,).
        species: ``Fe I`` and so on, shape (L,).
        strength: Relative to each other, shape (L,).
    """

    wavelength: NDArray[np.float64]
    species: NDArray[np.str_]
    strength: NDArray[np.float64]

    def near(self, wavelength: float, sigma: float, most: int = 3, least: float = 0.1) -> str:
        """The strongest lines under a Gaussian about a wavelength, e.g. ``Ca I 6163.88, Fe I 6165.25``.

        Args:
            wavelength: Vacuum Å.
            sigma: Of the line spread, Å.
            most: Lines named at most.
            least: Share of the strongest that a line must have to be named beside it.
        """
        first, last = np.searchsorted(self.wavelength, [wavelength - 2.5 * sigma, wavelength + 2.5 * sigma])
        distance = (self.wavelength[first:last] - wavelength) / sigma
        weight = self.strength[first:last] * np.exp(-0.5 * distance**2)
        order = np.argsort(-weight)[:most]
        named = [k for k in order if weight[k] >= least * weight.max()]
        return ", ".join(f"{self.species[first + k]} {self.wavelength[first + k]:.2f}" for k in named)


@cache
def read_strong_lines(path: str | Path) -> StrongLines:
    """A table with the columns wavelength (vacuum Å), species and log_strength; or ``embedded:strong_lines``.

    Raises:
        DataError: If it cannot be read, or lacks a column.
    """
    file = resolve(path)
    table = read_table(file)
    require_columns(table, COLUMNS, file)
    return _sorted(table)


def _sorted(table: Any) -> StrongLines:
    wavelength = np.asarray(table["wavelength"], float)
    order = np.argsort(wavelength)
    strength = 10.0 ** np.asarray(table["log_strength"], float)[order]
    return StrongLines(wavelength[order], np.asarray(table["species"], str)[order], strength)
