r"""Posterior of a common gap and of each survey's, given the widths of their priors; see `models.gap.common`."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.gap.evidence import GapEvidence
from synth2obs.models.gap.smoothing import Smoothing
from synth2obs.models.gap.waves import Wave, beyond, covariance_of_wave, in_band

STEPS, TOLERANCE = 300, 1e-10
"""Of conjugate gradients."""


class Taught(NamedTuple):
    """What one survey brings: the evidence of its stars, and the smoothing to its resolution and grid.

    Its own part may make do with the first ``used`` features: the others have a width, but few stars are not asked.
    """

    evidence: GapEvidence
    smoothing: Smoothing
    used: int | None = None


@shaped
class Part(NamedTuple):
    """Posterior of the coefficients of F features in L cells, and the variance of their prior."""

    mean: Float64[Tensor, "features cells"]
    covariance: Float64[Tensor, "cells features features"]
    prior_variance: Float64[Tensor, "features cells"]

    @property
    def variance(self) -> Float64[Tensor, "features cells"]:
        """Of each coefficient."""
        return self.covariance.diagonal(dim1=1, dim2=2).T


class SurveyGap(NamedTuple):
    """A survey's gap on its own rest grid: common and own part together, and the own part."""

    total: Part
    own: Part


class HierarchicalGap(NamedTuple):
    """The common gap on the reference grid, and each survey's."""

    common: Part
    surveys: Mapping[str, SurveyGap]


def joint_posterior(
    taught: Mapping[str, Taught], common: Tensor, own: Mapping[str, Tensor]
) -> HierarchicalGap:
    """The posterior given variances of the priors: of the common part (F, L), and by survey (F, L')."""
    reduced = {name: _without_own(each.evidence, own[name]) for name, each in taught.items()}
    smoothings = {name: each.smoothing for name, each in taught.items()}
    info = {name: _at_reference(smoothings[name], reduced[name].info) for name in taught}
    mean = _common_mean(smoothings, reduced, common)
    waves = _waves(smoothings, torch.ones(common.shape[1], dtype=torch.float64))
    covariance = _mean_over(waves, lambda wave: covariance_of_wave(smoothings, info, common, wave))
    surveys = {}
    for name in taught:
        others = {other: each for other, each in smoothings.items() if other != name}
        surveys[name] = _survey_gap(taught[name], mean, common, own[name], others, info)
    return HierarchicalGap(Part(mean, covariance, common), surveys)


class _Reduced(NamedTuple):
    """What a survey's stars say of the common part, its own integrated out."""

    info: Tensor  # (L, F, F)
    moment: Tensor  # (L, F)


def _without_own(evidence: GapEvidence, variance: Tensor) -> _Reduced:
    """(A⁻¹ + Ω)⁻¹ and (1 + A Ω)⁻¹ b, finite at Ω = 0."""
    taken = _taken(evidence, variance)
    both = torch.cat([evidence.curvature, evidence.moment[:, :, None]], dim=2)
    left = both - evidence.curvature @ (taken @ both)
    info = left[:, :, :-1]
    return _Reduced(0.5 * (info + info.mT), left[:, :, -1])


def _taken(evidence: GapEvidence, variance: Tensor) -> Tensor:
    """(Ω⁻¹ + A)⁻¹ = Ω^½ (1 + Ω^½ A Ω^½)⁻¹ Ω^½, shape (L, F, F)."""
    root = variance.T.sqrt()
    scaled = root[:, :, None] * evidence.curvature * root[:, None, :]
    whole = torch.eye(root.shape[1], dtype=root.dtype) + scaled
    found = torch.cholesky_inverse(torch.linalg.cholesky(whole))
    return root[:, :, None] * found * root[:, None, :]


def _at_reference(smoothing: Smoothing, info: Tensor) -> Tensor:
    """Information per reference cell."""
    return info[smoothing.back] * smoothing.density[:, None, None]


def _common_mean(
    smoothings: Mapping[str, Smoothing], reduced: Mapping[str, _Reduced], variance: Tensor
) -> Tensor:
    """E[C], shape (F, L), in units of τ."""
    tau = variance.T.sqrt()

    def pulled(z: Tensor) -> Tensor:
        through = [
            each.adjoint((reduced[name].info @ each(tau * z)[:, :, None])[..., 0])
            for name, each in smoothings.items()
        ]
        return z + tau * torch.stack(through).sum(0)

    right = tau * torch.stack([each.adjoint(reduced[name].moment) for name, each in smoothings.items()]).sum(
        0
    )
    blocks = torch.eye(tau.shape[1], dtype=tau.dtype).expand(len(tau), -1, -1).clone()
    for name, each in smoothings.items():
        own = each.power_adjoint(reduced[name].info.flatten(1)).view_as(blocks)
        blocks += tau[:, :, None] * own * tau[:, None, :]
    return (tau * _conjugate_gradients(pulled, right, torch.linalg.cholesky(blocks))).T


def _conjugate_gradients(product: Callable[[Tensor], Tensor], right: Tensor, chol: Tensor) -> Tensor:
    """Solution x of product(x) = right, preconditioned by the blocks of a Cholesky factor, shape (L, F)."""

    def eased(r: Tensor) -> Tensor:
        return torch.cholesky_solve(r[:, :, None], chol)[..., 0]

    x, r = torch.zeros_like(right), right
    z = eased(r)
    direction, size = z, (r * z).sum()
    goal = TOLERANCE**2 * float(size)
    for _ in range(STEPS):
        if float(size) <= goal:
            break
        change = product(direction)
        length = size / (direction * change).sum()
        x, r = x + length * direction, r - length * change
        z = eased(r)
        before, size = size, (r * z).sum()
        direction = z + size / before * direction
    return x


def _mean_over(waves: Sequence[Wave], part: Callable[[Wave], Tensor]) -> Tensor:
    """Sum of shares (L, …) of some waves; 0 of none."""
    total = torch.zeros(())
    for wave in waves:
        each = part(wave)
        total = total + wave.weight.view(-1, *[1] * (each.dim() - 1)) * each
    return total


def _survey_gap(
    each: Taught,
    mean: Tensor,
    common: Tensor,
    own: Tensor,
    others: Mapping[str, Smoothing],
    info: Mapping[str, Tensor],
) -> SurveyGap:
    """One survey's gap: what the others say of it is the prior, wave by wave, its own stars are the data."""
    seen, smoothing = each.evidence, each.smoothing
    asked = torch.arange(len(own))[:, None] < (len(own) if each.used is None else each.used)
    known, unasked = torch.where(asked, own, 0.0), torch.diag_embed(torch.where(asked, 0.0, own).T)
    through = smoothing(mean.T)
    left = seen.moment - (seen.curvature @ through[:, :, None])[..., 0]
    found = (_taken(seen, known) @ left[:, :, None])[..., 0]
    total, alone = (part + unasked for part in _covariances(each, common, known, others, info))
    whole = Part((through + found).T, total, smoothing.power(common.T).T + own)
    return SurveyGap(whole, Part(found.T, alone, own))


def _covariances(
    each: Taught, common: Tensor, own: Tensor, others: Mapping[str, Smoothing], info: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Of a survey's gap and of its own part, shape (L, F, F) each."""
    smoothing, curvature, omega = each.smoothing, each.evidence.curvature, torch.diag_embed(own.T)
    place, cells = smoothing.place, torch.arange(len(smoothing.place))
    density = smoothing.density[place]
    # Cells at the end of the survey's grid may lie next to a reference cell beyond it.
    density = torch.where(density > 0, density, density.max()).clamp(max=1.0)

    def seen_by_others(wave: Wave) -> Tensor:
        kept = smoothing.reached * smoothing.kept(wave.wavenumber, cells).square()
        return kept[:, None, None] * covariance_of_wave(others, info, common, wave, place)

    folded = _mean_over(beyond(density), seen_by_others)

    def both(wave: Wave) -> Tensor:
        prior = density[:, None, None] * seen_by_others(wave) + folded + omega
        told = torch.linalg.solve(torch.eye(own.shape[0], dtype=own.dtype) + curvature @ prior, curvature)
        return torch.stack([prior - prior @ told @ prior, omega - omega @ told @ omega], dim=1)

    every = {**others, "": smoothing}
    total, alone = _mean_over(_waves(every, density), both).unbind(1)
    return 0.5 * (total + total.mT), 0.5 * (alone + alone.mT)


def _waves(smoothings: Mapping[str, Smoothing], density: Tensor) -> Sequence[Wave]:
    """Waves over which covariances are averaged: a single one where nothing is smoothed."""
    if any(bool(each.variance.any()) for each in smoothings.values()):
        return in_band(density)
    return [Wave(torch.zeros_like(density), torch.ones_like(density))]
