"""What one survey of a scenario changes in the survey that all begin with."""

from dataclasses import dataclass

from synth2obs.analysis.proof.observe import Defects


@dataclass(frozen=True, kw_only=True)
class Twist:
    """Changes of one survey; without arguments, none.

    Args:
        drift: Standard deviations by which the stars' mean is moved further.
        missing: Share of the grid's lines that theory lacks.
        strength: Share of the absorption of such a line that is missing.
        response: Least change of flux per dex at a line.
        nature: Shard of the grid that nature is; empty for the grid that theory is.
        defects: Of the instrument.
        stars: Stars that train; 0 for as many as the simulation says.
        second: Survey whose instrument sees the same stars, with half of the lines that theory lacks; empty for none.
    """

    drift: float = 0.0
    missing: float = 0.0
    strength: float = 1.0
    response: float = 0.05
    nature: str = ""
    defects: Defects = Defects()
    stars: int = 0
    second: str = ""
