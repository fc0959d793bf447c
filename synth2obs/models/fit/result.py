"""What a fit gives."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Fit:
    """Result of a fit of N stars.

    Args:
        theta: Latents, or scaled labels, shape (N, Q).
        covariance: Shape (N, Q, Q), with the pixels' correlation taken into account; 0 for fixed labels.
        rv, rv_error: km/s, shape (N,).
        chi2: Of the good pixels, without prior, shape (N,).
        pixels: Number of good pixels, shape (N,).
        spectrum, continuum: Model without continuum, and continuum, shape (N, P).
        ivar: Weights used, with intrinsic scatter, shape (N, P).
        residual: (flux / continuum) − spectrum, 0 where masked, shape (N, P).
        coefficients: Of the projected functions, shape (N, M).
    """

    theta: Tensor
    covariance: Tensor
    rv: Tensor
    rv_error: Tensor
    objective: Tensor
    chi2: Tensor
    pixels: Tensor
    spectrum: Tensor
    continuum: Tensor
    ivar: Tensor
    residual: Tensor
    coefficients: Tensor

    @property
    def chi2_per_pixel(self) -> Tensor:
        """χ² over the number of good pixels, shape (N,)."""
        return self.chi2 / self.pixels.clamp(min=1)

    def take(self, rows: Tensor) -> Self:
        """Some of the stars."""
        return type(self)(**{name: getattr(self, name)[rows] for name in FIELDS})


class LatentFit(Fit):
    """Of latents."""

    @property
    def u(self) -> Tensor:
        """Latents in the survey's place, shape (N, D)."""
        return self.theta


class LabelFit(Fit):
    """Of labels."""

    @property
    def x(self) -> Tensor:
        """Scaled labels, shape (N, K)."""
        return self.theta

    def better(self, other: "LabelFit") -> "LabelFit":
        """Star by star, the one with the lower objective."""
        first = self.objective <= other.objective
        return LabelFit(
            **{
                name: torch.where(first.reshape(-1, *[1] * (mine.dim() - 1)), mine, getattr(other, name))
                for name, mine in vars(self).items()
            }
        )


FIELDS = tuple(Fit.__annotations__)


@dataclass
class StarLabels:
    """Labels and velocities of a survey's training stars, as far as they are known.

    Args:
        x: Scaled labels, shape (N, K), float64.
        rv: km/s, shape (N,).
        chi2: Per pixel, shape (N,).
    """

    x: Tensor
    rv: Tensor
    chi2: Tensor
