"""The end of stage D, where it is asked for: what the surveys' gaps have in common."""

import torch

from synth2obs.models.fit.common_gap import OwnGap, own_gap, share_gap
from synth2obs.models.fit.refine import ROUND
from synth2obs.models.fit.task import fit_labels
from synth2obs.training.stages.labels import remember
from synth2obs.training.state import State


@torch.no_grad()
def share(state: State) -> dict[str, float]:
    """Labels of all training stars, every survey's gap from its own, then common and own part in its place.

    Args:
        state: Its bridge's gaps and its stars are changed in place.

    Returns:
        Rms over features and cells of the common gap and of every survey's own part, in units of the continuum.
    """
    own: dict[str, OwnGap] = {}
    told: dict[str, float] = {}
    for name, seen in state.seen.items():
        stars = state.stars[name]
        fit = fit_labels(state.bridge, seen, ROUND, stars.x, stars.rv)
        own[name] = own_gap(state.bridge, seen, fit)
        told |= remember(state, name, fit)
    found = share_gap(state.bridge, own)
    told["gap_common"] = _size(found.common.mean)
    return told | {f"{name}/gap_own": _size(each.own.mean) for name, each in found.surveys.items()}


def _size(mean: torch.Tensor) -> float:
    return float(mean.square().sum(0).mean().sqrt())
