"""What a survey sees and the morphed grid does not say."""

from typing import TYPE_CHECKING

from synth2obs.core.config import choice
from synth2obs.models.contracts import GapModel
from synth2obs.models.gap.polynomial import ConstantGap, LinearGap, QuadraticGap
from synth2obs.models.gap.posterior import GapConfig

GAPS: dict[str, type[GapModel]] = {
    "constant": ConstantGap,
    "linear": LinearGap,
    "quadratic": QuadraticGap,
}
"""Every gap model; ``gap.name`` of a configuration chooses one."""

DEFAULT = "quadratic"

if TYPE_CHECKING:
    AnyGapConfig = GapConfig
else:
    AnyGapConfig = choice({name: gap.Config for name, gap in GAPS.items()}, DEFAULT)
