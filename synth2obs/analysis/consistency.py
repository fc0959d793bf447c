"""What a survey's own held-out spectra say of a bridge where no literature knows their labels."""

from typing import Any

import torch

from synth2obs.analysis.baselines import MORPH
from synth2obs.analysis.flags import UNUSABLE, quality
from synth2obs.analysis.free_chi2 import free_chi2
from synth2obs.analysis.halves import labels_by_halves
from synth2obs.analysis.repeats import repeats
from synth2obs.analysis.trials import Tested
from synth2obs.models.fit.refine import inside

WEIGHTED = "theory_weighted"


def consistency(tested: Tested) -> dict[str, Any]:
    """``free_chi2``, ``halves`` and ``repeats`` of one survey's metrics; see ``docs/report.md``.

    Halves and repeats are of stars inside the grid that the morph describes: of others flags warn.

    Args:
        tested: Every method on the test stars.
    """
    bridge, fit = tested.bridge, tested.trials[MORPH].free
    flags = quality(fit, len(bridge.survey(tested.survey).wavelength))
    usable = (flags & UNUSABLE == 0) & inside(bridge, fit.x).numpy()
    rows = torch.from_numpy(usable.nonzero()[0])
    by = {
        method: labels_by_halves(
            bridge, tested.seen, tested.trials[method].free, rows, morphed=method == MORPH
        )
        for method in (WEIGHTED, MORPH)
        if method in tested.trials
    }
    return {
        **free_chi2(tested),
        "halves": by,
        "repeats": repeats(bridge, tested.spectra.star[usable], fit.take(rows)),
    }
