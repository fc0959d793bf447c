"""How to fit."""

from dataclasses import dataclass


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
    """

    steps: int = 8
    refresh: int = 2
    rv_sigma: float = 30.0
    scatter: bool = True
    morphed: bool = True
    population: bool = True
    fixed: tuple[int, ...] = ()
    rv_search: float = 500.0

    def __post_init__(self) -> None:
        if self.steps < 0 or self.refresh < 1:
            raise ValueError(f"need steps >= 0 and refresh >= 1, got {self.steps} and {self.refresh}")
