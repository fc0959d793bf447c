"""What a fit may change: latents, or labels together with the error of the emulator; how it acts, and its prior."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.priors.known import Known, StarPrior
from synth2obs.models.survey import SurveyModel

Prior = Callable[[Tensor], PriorTerms]

EDGE = 0.1
"""How far fits may leave the grid, as a share of its range of each label."""

STEP_LIMIT = 1.5
"""Largest change of a scaled label in one look at the pixels."""

FARTHEST = 6.0
"""The same of a latent, or of the emulator's error, in standard deviations: sums that only steer may lead astray."""


class Slopes(NamedTuple):
    """The Jacobian ∂g/∂θ of coefficients as a product: sums over pixels need its first factor alone."""

    by_latent: Tensor  # (B, M, D) ∂g/∂u
    of_latent: Tensor  # (B, D, Q) ∂u/∂θ

    @property
    def jacobian(self) -> Tensor:
        """∂g/∂θ, shape (B, M, Q)."""
        return self.by_latent @ self.of_latent


class Parameters(Protocol):
    """Parameters θ (B, Q), float64, of a batch of stars."""

    def value(self, theta: Tensor) -> Tensor:
        """Coefficients, shape (B, M)."""
        ...

    def slopes(self, theta: Tensor) -> Slopes:
        """Their Jacobian."""
        ...

    def prior(self, theta: Tensor) -> PriorTerms:
        """Half χ² of the prior, its gradient and curvature."""
        ...

    def among(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients (N, M) and half χ² of the prior, (N,) or (B, N), of candidates (N, Q) that all stars share."""
        ...

    def bounded(self, origin: Tensor, theta: Tensor) -> Tensor:
        """θ brought back to where a step from ``origin`` may end, both (B, Q)."""
        ...

    def joined(self, theta: Tensor) -> Tensor:
        """Those that a fit is for, made a whole θ: theory is right."""
        ...

    def alone(self, theta: Tensor) -> Tensor:
        """Those of θ that a fit is for."""
        ...

    def of_free(self, covariance: Tensor) -> Tensor:
        """Covariance of these from that of θ; 0 for what is held."""
        ...

    @property
    def without_error(self) -> "Parameters":
        """The same without what stands for an error of theory: those that a fit is for."""
        ...

    def take(self, rows: Tensor) -> "Parameters":
        """Those of some of the stars."""
        ...


def origin_prior(theta: Tensor) -> PriorTerms:
    """θ ~ N(0, I): the prior of whitened latents."""
    eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
    return PriorTerms(0.5 * theta.square().sum(1), theta, eye)


@dataclass(frozen=True)
class LatentParameters:
    """Latents of a survey.

    Args:
        model: The survey.
        decoder: Of the rest frame.
        of_prior: Their prior.
    """

    model: SurveyModel
    decoder: Decoder
    of_prior: Prior = origin_prior

    def value(self, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        return self.model.value(self.decoder, theta)

    def slopes(self, theta: Tensor) -> Slopes:
        """See `Parameters`."""
        eye = torch.eye(theta.shape[1], dtype=theta.dtype).expand(len(theta), -1, -1)
        return Slopes(self.model.coefficients(self.decoder, theta).jacobian, eye)

    def prior(self, theta: Tensor) -> PriorTerms:
        """See `Parameters`."""
        return self.of_prior(theta)

    def among(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """See `Parameters`."""
        return self.value(candidates), self.prior(candidates).value

    def bounded(self, origin: Tensor, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        return torch.clamp(theta, origin - FARTHEST, origin + FARTHEST)

    def joined(self, theta: Tensor) -> Tensor:
        """See `LabelParameters.joined`."""
        return theta

    def alone(self, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        return theta

    def of_free(self, covariance: Tensor) -> Tensor:
        """See `Parameters`."""
        return covariance

    @property
    def without_error(self) -> "LatentParameters":
        """See `Parameters`."""
        return self

    def take(self, rows: Tensor) -> "LatentParameters":
        """See `Parameters`."""
        return self


class HeldLatent(LatentParameters):
    """Latents that stay what they are: only velocity and continuum are fitted."""

    def slopes(self, theta: Tensor) -> Slopes:
        """See `Parameters`."""
        found = super().slopes(theta)
        return found._replace(by_latent=torch.zeros_like(found.by_latent))

    def prior(self, theta: Tensor) -> PriorTerms:
        """See `Parameters`."""
        zero = torch.zeros_like(theta)
        return origin_prior(theta)._replace(value=zero.sum(1), gradient=zero)


@dataclass(frozen=True)
class LabelParameters:
    r"""Scaled labels x, and with ``factor`` the error e of the emulator in units of its standard deviations.

    .. math:: \theta = (x, e) , \qquad u = T(h(x) + L e) , \qquad e \sim N(0, I) .

    A minimum over both has, to first order, the labels and the covariance that the likelihood with the emulator's
    covariance :math:`L L^T` has: errors that look like a change of labels widen theirs, others count less.

    Args:
        bridge, survey, morphed: As for `Bridge.values_from_labels`.
        free: 1 for labels that are fitted, 0 for those that are held, shape (K,).
        of_labels: Prior of x: of all stars, or of each of these.
        factor: L of these stars, shape (B, D, D); None: the emulator counts as exact.
    """

    bridge: Bridge
    survey: str
    morphed: bool
    free: Tensor
    of_labels: Prior
    factor: Tensor | None = None

    @property
    def labels(self) -> int:
        """K."""
        return len(self.free)

    def of_stars(self, known: Known | None) -> "LabelParameters":
        """Those of a batch of stars, of which more is known than of all."""
        if known is None:
            return self
        return replace(self, of_labels=StarPrior(self.of_labels, known.of_free(self.free)))

    def with_error(self, theta: Tensor) -> "LabelParameters":
        """The same with the emulator's error as it is at scaled labels (B, K), or θ (B, Q)."""
        x = theta[:, : self.labels]
        return replace(
            self, factor=self.bridge.theory_error_of(self.survey).latent_factor(self.bridge.emulator, x)
        )

    @property
    def without_error(self) -> "LabelParameters":
        """See `Parameters`."""
        return replace(self, factor=None)

    def take(self, rows: Tensor) -> "LabelParameters":
        """See `Parameters`."""
        prior, factor = self.of_labels, self.factor
        return replace(
            self,
            of_labels=prior.take(rows) if isinstance(prior, StarPrior) else prior,
            factor=None if factor is None else factor[rows],
        )

    def joined(self, theta: Tensor) -> Tensor:
        """θ at scaled labels (B, K), where the emulator is right; a whole θ (B, Q) stays."""
        errors = 0 if self.factor is None else self.factor.shape[2]
        missing = self.labels + errors - theta.shape[1]
        return torch.cat([theta, theta.new_zeros(len(theta), missing)], dim=1)

    def alone(self, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        return theta[:, : self.labels]

    def of_free(self, covariance: Tensor) -> Tensor:
        """See `Parameters`."""
        return covariance[:, : self.labels, : self.labels] * self.free * self.free[:, None]

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The grid's range of every free label and a little more, in scaled labels."""
        space = self.bridge.labels
        ends = self.bridge.scale(torch.as_tensor(np.stack([space.lower, space.upper])))
        low, high = ends.amin(0), ends.amax(0)
        margin = torch.where(self.free > 0, EDGE * (high - low), torch.inf)
        return low - margin, high + margin

    def bounded(self, origin: Tensor, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        x, start, (low, high) = self.alone(theta), self.alone(origin), self.ends
        near = torch.clamp(x, start - STEP_LIMIT, start + STEP_LIMIT)
        error, before = theta[:, self.labels :], origin[:, self.labels :]
        error = torch.clamp(error, before - FARTHEST, before + FARTHEST)
        return torch.cat([torch.clamp(near, low, high), error], dim=1)

    def value(self, theta: Tensor) -> Tensor:
        """See `Parameters`."""
        x, offset = self._parts(theta)
        return self.bridge.values_from_labels(self.survey, x, offset, morphed=self.morphed)

    def slopes(self, theta: Tensor) -> Slopes:
        """See `Parameters`."""
        x, offset = self._parts(theta)
        by_latent, of_latent = self.bridge.slopes_from_labels(self.survey, x, offset, morphed=self.morphed)
        inner = self.bridge.latents_jacobian(self.survey, x, morphed=self.morphed) * self.free
        whole = inner if self.factor is None else torch.cat([inner, self.factor], dim=2)
        return Slopes(by_latent, of_latent @ whole)

    def prior(self, theta: Tensor) -> PriorTerms:
        """See `Parameters`."""
        x, error = theta[:, : self.labels], theta[:, self.labels :]
        value, gradient, curvature = self.of_labels(x)
        held = torch.diag_embed(1.0 - self.free)
        curvature = curvature * self.free * self.free[:, None] + held
        if self.factor is not None:
            whole = torch.eye(theta.shape[1], dtype=theta.dtype).repeat(len(theta), 1, 1)
            whole[:, : self.labels, : self.labels] = curvature
            curvature = whole
        return PriorTerms(
            value + 0.5 * error.square().sum(1), torch.cat([gradient * self.free, error], dim=1), curvature
        )

    def among(self, candidates: Tensor) -> tuple[Tensor, Tensor]:
        """See `Parameters`; candidates are labels alone."""
        prior = self.of_labels
        half = prior.among(candidates) if isinstance(prior, StarPrior) else prior(candidates).value
        return self.bridge.values_from_labels(self.survey, candidates, morphed=self.morphed), half

    def _parts(self, theta: Tensor) -> tuple[Tensor, Tensor | None]:
        """Labels, and what the error adds to theory's latents."""
        x, error = theta[:, : self.labels], theta[:, self.labels :]
        return x, None if self.factor is None else (self.factor @ error[..., None])[..., 0]
