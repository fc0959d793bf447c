"""What an engine is: labels in, a normalised spectrum out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import Synth2ObsError

Array = NDArray[np.float64]


class SynthesisError(Synth2ObsError):
    """A spectrum that an engine could not compute; the grid goes on without it."""


class Engine(Protocol):
    """A synthesis code that is ready to run."""

    wavelength: Array
    """Å in the recipe's medium, increasing, shape (L,)."""

    def spectrum(self, labels: Mapping[str, float], folder: Path) -> Array:
        """Continuum-normalised flux of one star at rest, shape (L,).

        Args:
            labels: In the units of `core.labels`.
            folder: Empty folder for its files.

        Raises:
            SynthesisError: If it fails, dies, or takes longer than its limit.
            DataError: If a label lies outside the model atmospheres.
        """
        ...

    def provenance(self) -> dict[str, Any]:
        """Version, files with sha256, physics: everything that a spectrum depends on besides its labels."""
        ...


def band_wavelengths(bands: Sequence[tuple[float, float]], steps: Sequence[float]) -> list[Array]:
    """Wavelengths of each band in Å, from its start to its end in steps of its own."""
    return [
        start + step * np.arange(int((stop - start) / step + 1e-6) + 1, dtype=np.float64)
        for (start, stop), step in zip(bands, steps, strict=True)
    ]
