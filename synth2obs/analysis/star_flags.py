"""What to beware of in fitted test stars, and how many of them there are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.flags import FAR, OUTSIDE, UNUSABLE, counted, quality
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.result import LabelFit


def star_flags(bridge: Bridge, survey: str, fit: LabelFit) -> NDArray[np.int64]:
    """Bits of `flags.FLAGS` that a fit alone tells, shape (N,)."""
    outside = bridge.labels.outside(bridge.scale.inverse(fit.x).numpy()).any(1)
    far = (bridge.grid_distance(fit.x) > 1.0).numpy()
    return (
        quality(fit, len(bridge.survey(survey).wavelength))
        | outside * np.int64(OUTSIDE)
        | far * np.int64(FAR)
    )


def flagged(flags: NDArray[np.int64]) -> dict[str, Any]:
    """Numbers of stars by bit, and the share of those with a poor fit or few good pixels."""
    counts = {str(bit): count for bit, count in counted(flags).items()}
    share = float((flags & UNUSABLE > 0).mean()) if len(flags) else None
    return {"share": share, "stars": counts}
