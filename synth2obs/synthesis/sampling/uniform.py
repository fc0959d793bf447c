"""Labels spread evenly over their ranges."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import qmc

from synth2obs.core.config import Section
from synth2obs.synthesis.sampling.sequence import sobol

Array = NDArray[np.float64]
Ranges = dict[str, tuple[float, float]]


class SobolConfig(Section):
    """A Sobol sequence: the first N are the same for every N."""

    name: Literal["sobol"] = Field(default="sobol", description="entry of the registry")


class LatinHypercubeConfig(Section):
    """A Latin hypercube: every label is even on its own, for this number of spectra."""

    name: Literal["latin_hypercube"] = Field(default="latin_hypercube", description="entry of the registry")


class SobolCube:
    """A Sobol sequence in the box of the ranges.

    Args:
        config: It has no settings.
    """

    Config: ClassVar[Any] = SobolConfig

    def __init__(self, config: Section) -> None:
        self.config = config

    def draw(self, names: tuple[str, ...], ranges: Ranges, spectra: int, seed: int) -> Array:
        """Labels inside the ranges, shape (N, K)."""
        return _scaled(sobol(spectra, len(names), seed), names, ranges)


class LatinHypercube:
    """A Latin hypercube in the box of the ranges.

    Args:
        config: It has no settings.
    """

    Config: ClassVar[Any] = LatinHypercubeConfig

    def __init__(self, config: Section) -> None:
        self.config = config

    def draw(self, names: tuple[str, ...], ranges: Ranges, spectra: int, seed: int) -> Array:
        """Labels inside the ranges, shape (N, K)."""
        return _scaled(qmc.LatinHypercube(len(names), rng=seed).random(spectra), names, ranges)


def _scaled(unit: Array, names: tuple[str, ...], ranges: Ranges) -> Array:
    low, high = np.array([ranges[name] for name in names]).T
    return low + (high - low) * unit
