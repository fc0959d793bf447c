"""A survey's label map from stars of known labels: Bayesian regression with a scatter and with outliers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.label_map import LABELS, LabelMap, MapTerms, features

ROUNDS = 3
"""Fits of the anchors, each through the map found by the one before: priors act at the stars' own labels."""

STEPS = 40
"""Steps of the regression."""

OUTLIERS, FAR = 0.1, 1.0
"""Share of stars whose known labels, or fits, are wrong, and by how many of the grid's standard deviations."""


@dataclass(frozen=True)
class MapPrior:
    """Widths of the prior of a map, in scaled labels.

    Args:
        constant: Of the shift of all stars, shape (3,).
        slope: Of its change with one standard deviation of the grid's labels, shape (3,).
    """

    constant: Tensor
    slope: Tensor

    @property
    def precision(self) -> Tensor:
        """Of the weights, shape (3, 4)."""
        return torch.cat([self.constant[:, None], self.slope[:, None].expand(-1, LABELS)], dim=1) ** -2


def regress(phi: Tensor, shift: Tensor, variance: Tensor, prior: MapPrior) -> MapTerms:
    r"""Weights of features, label by label, with a scatter of single stars, and with outliers.

    EM for :math:`d_n = B \varphi_n + \epsilon_n`, with :math:`\epsilon_n` of variance :math:`v_n + s^2`, or much
    larger for an unknown few (Hogg, Bovy & Lang 2010, arXiv:1008.4686, section 3).

    Args:
        phi: Features, shape (N, F).
        shift: Fitted minus known labels, shape (N, 3); NaN where a label is not known.
        variance: Of these, shape (N, 3).
        prior: Of the weights.
    """
    found = [_one(phi, *column) for column in zip(shift.T, variance.T, prior.precision, strict=True)]
    return MapTerms(*(torch.stack(part) for part in zip(*found, strict=True)))


def _one(phi: Tensor, shift: Tensor, variance: Tensor, precision: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    kept = torch.isfinite(shift) & torch.isfinite(variance)
    phi, shift, variance = phi[kept], shift[kept], variance[kept]
    scatter2 = shift.var(correction=0) if len(shift) else variance.new_zeros(())
    trust = torch.ones_like(shift)
    for _ in range(STEPS):
        weight = trust / (variance + scatter2)
        covariance = torch.linalg.inv(phi.T @ (weight[:, None] * phi) + torch.diag(precision))
        mean = covariance @ (phi.T @ (weight * shift))
        left = (shift - phi @ mean).square() + ((phi @ covariance) * phi).sum(1)
        trust = _ordinary(left, variance + scatter2)
        scatter2 = _scatter(left, trust, variance, scatter2)
    return mean, covariance, scatter2.sqrt()


def _ordinary(square: Tensor, variance: Tensor) -> Tensor:
    """Probability that a star is no outlier."""
    wide = variance + FAR**2
    odds = (wide / variance).sqrt() * torch.exp(0.5 * square * (1.0 / wide - 1.0 / variance))
    return (1.0 - OUTLIERS) * odds / ((1.0 - OUTLIERS) * odds + OUTLIERS)


def _scatter(square: Tensor, trust: Tensor, variance: Tensor, scatter2: Tensor) -> Tensor:
    """One Fisher step of the scatter's variance."""
    if not len(square):
        return scatter2
    weight = (variance + scatter2).reciprocal()
    change = (trust * (weight.square() * square - weight)).sum() / (trust * weight.square()).sum().clamp(
        min=1e-30
    )
    return (scatter2 + change).clamp(min=0.0)


@torch.no_grad()
def learn_map(
    bridge: Bridge, seen: Observation, known: Tensor, variance: Tensor, start: Tensor, prior: MapPrior
) -> MapTerms:
    """Set a survey's label map from stars of known labels; nothing else of the bridge changes.

    Args:
        bridge: Its model of the survey is changed in place.
        seen: The anchors' spectra.
        known: Their scaled Teff, log g and [Fe/H], shape (N, 3); NaN where one is not known.
        variance: Of these, shape (N, 3).
        start: Scaled labels to start fits from, shape (N, K).
        prior: Of the map.
    """
    model, x, rv = bridge.survey(seen.survey), start, seen.rv
    model.label_map = LabelMap()
    for _ in range(ROUNDS):
        fit = fit_labels(bridge, seen, Options(refresh=1), x, rv)
        x, rv = fit.x, fit.rv
        at = torch.cat([known.where(torch.isfinite(known), x[:, :LABELS]), x[:, LABELS:]], dim=1)
        shift = model.label_map(x)[:, :LABELS] - known
        own = fit.covariance.diagonal(dim1=1, dim2=2)[:, :LABELS]
        terms = regress(features(at), shift, variance + own, prior)
        model.label_map.set(terms, len(seen))
    return terms
