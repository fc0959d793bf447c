r"""A gap that surveys have in common, and what is each survey's own.

.. math:: G_d(\lambda) = [L_d C](\lambda) + O_d(\lambda), \qquad
          C_k \sim N(0, \tau_k^2(\lambda)), \quad O_{dk} \sim N(0, \omega_{dk}^2(\lambda))

are the coefficients of the features in survey d's gap: C at a reference resolution, L_d the smoothing from there to the
survey's. With O integrated out, what a survey's stars say of L_d C has the information
:math:`M_d = (A_d^{-1} + \Omega_d)^{-1}`, A_d their normal matrix, and the mean of C solves

.. math:: (T^{-1} + \sum_d L_d^T M_d L_d)\, C = \sum_d L_d^T (1 + A_d \Omega_d)^{-1} b_d ,

by conjugate gradients over all cells. Covariances take M, T and the smoothing as constant over a line spread: waves do
not mix then, each has a covariance of a few features, and a cell's is their mean over wavenumbers. Both are exact where
all resolutions are one. The variances :math:`\tau^2, \omega^2` are learned as those of a single gap are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from synth2obs.models.gap.joint import HierarchicalGap, Taught, joint_posterior
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.gap.widths import FEWEST, Width, learned_width, told_of_width

AGREED = 0.5
"""Share of a gap's prior variance that is common where a single survey sees a cell: nothing there tells."""


@torch.no_grad()
def hierarchical_gap(taught: Mapping[str, Taught], prior: GapConfig) -> HierarchicalGap:
    """Common and own gaps of surveys, with their variances by type-II maximum likelihood.

    Where a single survey sees a cell, the two parts share its own prior, and their sum is its own gap exactly. A survey
    that sees nothing has the common part, with an own error as wide as the others' own parts are.

    Args:
        taught: By survey; features are the same, in the same units.
        prior: How variances are learned: window, tails, steps.

    Raises:
        ValueError: If there is no survey, or they differ in the number of features or in the reference grid.
    """
    _check(taught)
    largest = _largest(taught)
    common = Width.of(AGREED * largest)
    own = {name: Width.of((1.0 - AGREED) * _own_prior(each, largest)) for name, each in taught.items()}
    whole = {name: each._replace(used=None) for name, each in taught.items()}
    shared = _shared(taught)
    for _ in range(prior.evidence_steps if prior.learn_scale and bool(shared.any()) else 0):
        found = joint_posterior(whole, common.variance, {name: each.variance for name, each in own.items()})
        told = told_of_width(found.common.mean, found.common.variance, common, prior, shared)
        common = learned_width(told, common, shared)
        own = _learned_own(taught, found, own, prior, shared)
    return joint_posterior(taught, common.variance, _filled(taught, own))


def _check(taught: Mapping[str, Taught]) -> None:
    if not taught:
        raise ValueError("a common gap needs at least one survey")
    sizes = {each.evidence.moment.shape[1] for each in taught.values()}
    cells = {len(each.smoothing.back) for each in taught.values()}
    if len(sizes) > 1 or len(cells) > 1:
        raise ValueError(
            f"surveys must share features and reference cells, got {sorted(sizes)} and {sorted(cells)}"
        )


def _own_prior(each: Taught, largest: Tensor) -> Tensor:
    """A survey's own prior; that of the others for features that it does not use.

    Held at zero, its own slopes would be the common ones, and its few stars would overrule surveys that have both.
    """
    own = each.evidence.prior_variance
    if each.used is None or not bool(each.evidence.seen.any()):
        return own
    unused = torch.arange(len(own))[:, None] >= each.used
    return torch.where(unused, largest[:, each.smoothing.place], own)


def _learned_own(
    taught: Mapping[str, Taught],
    found: HierarchicalGap,
    own: Mapping[str, Width],
    prior: GapConfig,
    shared: Tensor,
) -> dict[str, Width]:
    """Own widths, each drawn to that of all surveys together."""
    cells = {name: shared[each.smoothing.place] & each.evidence.seen for name, each in taught.items()}
    told = {
        name: told_of_width(part.own.mean, part.own.variance, own[name], prior, cells[name])
        for name, part in found.surveys.items()
    }
    sums = [
        torch.stack([told[name].square, told[name].used])[:, :, each.smoothing.back] * _seen(each)
        for name, each in taught.items()
    ]
    square, used = torch.stack(sums).sum(0)
    usual = square / used.clamp(min=FEWEST)
    return {
        name: learned_width(told[name], own[name], cells[name], usual[:, each.smoothing.place])
        for name, each in taught.items()
    }


def _seen(each: Taught) -> Tensor:
    """Reference cells that a survey sees, shape (L,)."""
    return each.evidence.seen[each.smoothing.back] & (each.smoothing.density > 0)


def _shared(taught: Mapping[str, Taught]) -> Tensor:
    """Reference cells that several surveys see, shape (L,)."""
    return torch.stack([_seen(each) for each in taught.values()]).sum(0) > 1


def _largest(taught: Mapping[str, Taught]) -> Tensor:
    """The widest of the surveys' own priors in every reference cell, (F, L)."""
    wide = [
        torch.where(_seen(each), each.evidence.prior_variance[:, each.smoothing.back], 0.0)
        for each in taught.values()
    ]
    return torch.stack(wide).amax(0)


def _filled(taught: Mapping[str, Taught], own: Mapping[str, Width]) -> dict[str, Tensor]:
    """Own variances; of a survey without stars, the mean of the others', cell by cell."""
    filled = {name: each.variance for name, each in own.items()}
    teachers = [name for name, each in taught.items() if bool(each.evidence.seen.any())]
    for name in (set(taught) - set(teachers)) if teachers else ():
        place = taught[name].smoothing.place
        others = [filled[other][:, taught[other].smoothing.back[place]] for other in teachers]
        filled[name] = torch.stack(others).mean(0)
    return filled
