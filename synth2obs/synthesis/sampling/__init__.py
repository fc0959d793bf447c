"""Which labels a grid's spectra are computed at."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.config import Section, choice
from synth2obs.synthesis.sampling.population import Population
from synth2obs.synthesis.sampling.table import Table
from synth2obs.synthesis.sampling.uniform import LatinHypercube, SobolCube


class Sampling(Protocol):
    """A way to choose labels."""

    def __init__(self, config: Section) -> None: ...

    def draw(
        self, names: tuple[str, ...], ranges: dict[str, tuple[float, float]], spectra: int, seed: int
    ) -> NDArray[np.float64]:
        """Labels inside their ranges, shape (N, K); the same arguments give the same labels."""
        ...


SAMPLINGS = {
    "population": Population,
    "sobol": SobolCube,
    "latin_hypercube": LatinHypercube,
    "table": Table,
}
"""Ways to choose labels, by the name that a recipe gives."""

SamplingConfig = choice({name: kind.Config for name, kind in SAMPLINGS.items()}, "population")
