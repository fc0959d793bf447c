"""The gap that a bridge's surveys have in common: from their stars, and into their models."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from synth2obs.core.errors import ModelError
from synth2obs.core.wavelengths import on_detectors
from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import GapPosterior
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.refine import gap_lesson, taught_gap
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.gap.common import hierarchical_gap
from synth2obs.models.gap.evidence import GapEvidence, gap_evidence
from synth2obs.models.gap.joint import HierarchicalGap, Taught
from synth2obs.models.gap.smoothing import Smoothing, finest, smoothing

UNITS = 0.25
"""Rms difference of the features of two surveys at the same labels, up to which they are the same functions."""


class OwnGap(NamedTuple):
    """A survey's gap as its own stars have it."""

    posterior: GapPosterior
    evidence: GapEvidence


def own_gap(bridge: Bridge, seen: Observation, fit: LabelFit) -> OwnGap:
    """Learn a survey's gap from its own stars, and keep what they say of it.

    Args:
        bridge: Its model of the survey is changed in place, as `learn_gap` does.
        seen: Training stars.
        fit: Their labels, with the survey's gap as it is.

    Raises:
        DataError: If no star can teach it.
    """
    lesson = gap_lesson(bridge, seen, fit)
    posterior = taught_gap(bridge, seen, fit, lesson)
    return OwnGap(posterior, gap_evidence(*lesson.kept_stars(), posterior.scatter, posterior.prior_variance))


@torch.no_grad()
def share_gap(bridge: Bridge, own: Mapping[str, OwnGap]) -> HierarchicalGap:
    """Replace the gaps of some surveys by common and own part together; their scatter stays.

    Args:
        bridge: Its models of these surveys are changed in place.
        own: By survey, what its own stars say.

    Raises:
        ModelError: If the features of their gaps are not the same functions of labels.
    """
    check_features(bridge, list(own))
    maps = smoothings(bridge, list(own))
    found = hierarchical_gap(
        {
            name: Taught(each.evidence, maps[name], int(bridge.survey(name).gap.used))
            for name, each in own.items()
        },
        bridge.survey(next(iter(own))).gap.config,
    )
    for name, each in own.items():
        total, model = found.surveys[name].total, bridge.survey(name)
        scatter = model.gap.scatter.clone()
        model.gap.update(
            each.posterior._replace(
                mean=total.mean, covariance=total.covariance, prior_variance=total.prior_variance
            )
        )
        model.gap.scatter.copy_(scatter)
    return found


def check_features(bridge: Bridge, surveys: list[str]) -> None:
    """Refuse surveys whose gaps are not linear in the same functions of labels.

    Raises:
        ModelError: If they are not, to within `UNITS` at the labels of the grid's spectra.
    """
    first = bridge.survey(surveys[0])
    x = bridge.emulator.known
    expected = bridge.gap_features(surveys[0], x)
    for name in surveys[1:]:
        model = bridge.survey(name)
        if type(model.gap) is not type(first.gap):
            raise ModelError(
                f"the gaps of {surveys[0]} and {name} are of different kinds; share only gaps of one gap.name"
            )
        apart = float((bridge.gap_features(name, x) - expected).square().mean().sqrt())
        if not apart < UNITS:
            raise ModelError(
                f"features of the gaps of {surveys[0]} and {name} differ by {apart:.2f} at the same labels, beyond "
                f"{UNITS}: a morph moves labels; train without it, or without gap.common"
            )


def smoothings(bridge: Bridge, surveys: list[str]) -> dict[str, Smoothing]:
    """From the finest of the surveys' rest grids, at the resolution of the sharpest that reaches a cell, to each."""
    rests = {name: _rest(bridge, name) for name in surveys}
    reference = finest(list(rests.values()))
    spreads = torch.stack([_spread(bridge, name, reference) for name in surveys])
    reached = torch.stack([_reached(bridge, name, reference) for name in surveys])
    sharpest = torch.where(reached | ~reached.any(0), spreads, torch.inf).amin(0)
    return {
        name: smoothing(reference, rest, sharpest, _spread(bridge, name, rest))
        for name, rest in rests.items()
    }


def _rest(bridge: Bridge, survey: str) -> Tensor:
    """The rest grid on which a survey's gap is, vacuum Å."""
    return bridge.decoder_of(survey).rest_wavelength


def _reached(bridge: Bridge, survey: str, cells: Tensor) -> Tensor:
    """Cells among a survey's pixels, those between its detectors left out."""
    model = bridge.survey(survey)
    reached = on_detectors(cells.numpy(), model.true_wavelength.numpy(), model.segment.numpy())
    return torch.from_numpy(reached)


def _spread(bridge: Bridge, survey: str, cells: Tensor) -> Tensor:
    """σ of a survey's usual line spread in ln λ at some wavelengths (Å)."""
    model = bridge.survey(survey)
    wavelength, sigma = model.true_wavelength, model.lsf_sigma * model.width_scale
    order = torch.argsort(wavelength)
    there = np.interp(cells.numpy(), wavelength[order].numpy(), (sigma / wavelength)[order].numpy())
    return torch.from_numpy(there)
