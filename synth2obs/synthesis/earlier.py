"""What a grid's file already has: spectra and gradients that need not be computed again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.read import read_shard
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe

Floats = NDArray[np.float32]
SAME = 1e-5
"""Difference of a label, in its unit, below which it counts as the same."""


@dataclass(frozen=True)
class Known:
    """One spectrum of an earlier file.

    Args:
        labels: By name.
        flux: Shape (P,).
        gradients: By label, shape (P,) each; empty if it has none.
    """

    labels: Mapping[str, float]
    flux: Floats
    gradients: Mapping[str, Floats] = field(default_factory=dict)

    def has(self, labels: Mapping[str, float]) -> bool:
        """Whether it was computed at these labels."""
        return labels.keys() == self.labels.keys() and all(
            abs(labels[name] - value) < SAME for name, value in self.labels.items()
        )


def read_earlier(recipe: Recipe, pixels: Pixels, path: Path) -> dict[str, Known]:
    """Spectra of a grid's file by id; none if there is no file, or it is of other physics or other pixels.

    Raises:
        DataError: If the file is damaged.
    """
    if not path.is_file():
        return {}
    spectra = read_shard(path)
    if spectra.provenance.get("physics") != recipe.physics or not np.array_equal(
        spectra.wavelength, pixels.wavelength
    ):
        return {}
    gradients = _gradients(recipe, spectra)
    return {
        str(name): Known(
            {label: float(column[row]) for label, column in spectra.labels.items()},
            spectra.flux[row],
            gradients.get(row, {}),
        )
        for row, name in enumerate(spectra.id)
    }


def _gradients(recipe: Recipe, spectra: Spectra) -> dict[int, dict[str, Floats]]:
    """Gradients by row, if they were taken with the recipe's steps."""
    found = spectra.gradients
    if found is None or any(step != recipe.gradients.step(name) for name, step in found.steps.items()):
        return {}
    return {
        int(row): {name: values[number] for name, values in found.values.items()}
        for number, row in enumerate(found.index)
    }
