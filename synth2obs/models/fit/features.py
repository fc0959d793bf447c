"""How many functions of labels a survey's gap can afford: asked of stars that have taught nothing, by their spectra.

A gap whose slopes run with labels describes spectra better from few stars on, and blurs labels until there are many:
its errors lie along the directions in which labels move spectra, too. So slopes are bought twice.
"""

import copy

import torch

from synth2obs.core.robust import scatter
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.label_slopes import shifted_columns
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.refine import learn_gap
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.surprise import earns, fitted_anew, gained, in_errors

BLUR = 0.3
"""Scatter that the gap's own error gives a label, in the label's error, up to which a gap may have more features."""

STARS = 48
"""Validation stars that are asked, at most."""


@torch.no_grad()
def choose_features(bridge: Bridge, seen: Observation, fit: LabelFit, held: Observation) -> dict[str, float]:
    """Let a survey's gap use as many of its features as held-out spectra ask for and labels bear.

    From one of the gap's ``sizes`` to the next, −ln likelihood per pixel of held-out stars has to fall by more than
    `surprise.EARNED` and `surprise.SURE` of its errors, and their labels have to be the same by gaps of either half of
    the training stars: half of the difference is the scatter that the gap's error gives a label, which is to be below
    `BLUR` of the error that a fit quotes.

    Args:
        bridge: Its gap of the survey has not been learned; which features it uses is changed in place.
        seen, fit: Training stars, and their labels.
        held: Stars that have taught nothing.

    Returns:
        ``gap_features``, and ``gap_blur`` of the last size that was tried.
    """
    asked = held.take(torch.arange(min(len(held), STARS)))
    gap = bridge.survey(seen.survey).gap
    chosen, blur, best = gap.size, 0.0, None
    for size in gap.sizes:
        own = by_gap(bridge, seen, fit, asked, size, best)
        if best is not None:
            blur = blur_by_gap(bridge, seen, fit, asked, size, own)
            if not earns(*gained(best, own)) or blur > BLUR:
                break
        chosen, best = size, own
    gap.use(chosen)
    return {"gap_features": float(chosen), "gap_blur": blur}


def by_gap(
    bridge: Bridge, seen: Observation, fit: LabelFit, held: Observation, size: int, start: LabelFit | None
) -> LabelFit:
    """Held-out stars by a gap of some size that these training stars teach; the survey stays as it is."""
    model = bridge.survey(seen.survey)
    untouched = copy.deepcopy(model.state_dict())
    model.gap.use(size)
    learn_gap(bridge, seen, fit)
    found = fitted_anew(bridge, held, start)
    model.load_state_dict(untouched)
    return found


def blur_by_gap(
    bridge: Bridge, seen: Observation, fit: LabelFit, held: Observation, size: int, own: LabelFit
) -> float:
    """Scatter that the error of a gap of some size gives labels, in their errors; ``own`` is by all stars' gap."""
    first = torch.arange(len(seen)) % 2 == 0
    one, other = (
        by_gap(bridge, seen.take(rows), fit.take(rows), held, size, own)
        for rows in (first.nonzero()[:, 0], (~first).nonzero()[:, 0])
    )
    return blurred(one, other, own, list(shifted_columns(bridge).values()))


def blurred(one: LabelFit, other: LabelFit, fit: LabelFit, columns: list[int]) -> float:
    """Scatter of labels by the error of a gap over the error of a label, the largest of some labels."""
    return float(scatter(0.5 * in_errors(one, other, fit, columns)).max())
