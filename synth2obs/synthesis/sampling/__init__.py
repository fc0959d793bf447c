"""Which labels a grid's spectra are computed at."""

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.config import choice
from synth2obs.synthesis.sampling.population import Population
from synth2obs.synthesis.sampling.table import Table
from synth2obs.synthesis.sampling.uniform import LatinHypercube, SobolCube


class Sampling(Protocol):
    """A way to choose labels."""

    Config: ClassVar[Any]

    def __init__(self, config: Any) -> None: ...

    def draw(
        self, names: tuple[str, ...], ranges: dict[str, tuple[float, float]], spectra: int, seed: int
    ) -> NDArray[np.float64]:
        """Labels inside their ranges, shape (N, K); the same arguments give the same labels."""
        ...


SAMPLINGS: dict[str, type[Sampling]] = {
    "population": Population,
    "sobol": SobolCube,
    "latin_hypercube": LatinHypercube,
    "table": Table,
}
"""Ways to choose labels, by the name that a recipe gives."""

SamplingConfig = choice({name: kind.Config for name, kind in SAMPLINGS.items()}, "population")
