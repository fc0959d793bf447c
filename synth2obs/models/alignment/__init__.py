"""How the latents of the grid are carried to those of a survey, and what teaches it."""

from typing import TYPE_CHECKING

from synth2obs.core.config import choice
from synth2obs.models.alignment.conditional import ConditionalMorph
from synth2obs.models.alignment.identity import IdentityMorph
from synth2obs.models.alignment.marginal import MarginalMorph
from synth2obs.models.alignment.settings import AlignmentConfig
from synth2obs.models.contracts import Alignment

ALIGNMENTS: dict[str, type[Alignment]] = {
    "conditional": ConditionalMorph,
    "marginal": MarginalMorph,
    "identity": IdentityMorph,
}
"""Every way to find a morph; ``morph.name`` of a configuration chooses one."""

DEFAULT = "identity"

if TYPE_CHECKING:
    AnyAlignmentConfig = AlignmentConfig
else:
    AnyAlignmentConfig = choice({name: kind.Config for name, kind in ALIGNMENTS.items()}, DEFAULT)
