"""How to fit."""

import math
from dataclasses import dataclass

from synth2obs.physics.broadening import Broadening


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to fit.

    Args:
        steps: Gauss–Newton steps after each projection.
        refresh: Projections, at least 1: the velocity found by one is the start of the next.
        rv_sigma: Prior width in km/s of each velocity correction; 0 holds the velocity.
        scatter: Use the survey's intrinsic scatter as extra variance.
        morphed: False fits plain theory.
        population: Use the stellar-evolution prior.
        fixed: Indices of scaled labels that are held at their start.
        rv_search: Where a star's velocity is unknown, it is looked for by cross-correlation up to this many km/s;
            0 starts at 0.
        vsini: Rotation in km/s that is held, the same for all stars of the fit.
        vmac: Macroturbulence in km/s, likewise.
        width: Factor on the survey's σ, on top of the one that the survey learned, likewise.
    """

    steps: int = 8
    refresh: int = 2
    rv_sigma: float = 30.0
    scatter: bool = True
    morphed: bool = True
    population: bool = True
    fixed: tuple[int, ...] = ()
    rv_search: float = 500.0
    vsini: float = 0.0
    vmac: float = 0.0
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.refresh < 1:
            raise ValueError(f"need steps >= 0 and refresh >= 1, got {self.steps} and {self.refresh}")
        if not (self.width > 0 and math.isfinite(self.width)):
            raise ValueError(f"width must be a positive factor on the survey's σ, got {self.width}")

    @property
    def broadening(self) -> Broadening | None:
        """Rotation and macroturbulence; None without either."""
        return Broadening.shared(self.vsini, self.vmac)
