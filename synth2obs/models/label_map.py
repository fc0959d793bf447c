"""Labels at which theory looks like stars of given labels: what no residual shows, and only known stars can tell."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

LABELS = 3
"""Teff, log g and [Fe/H], the first scaled labels of every grid, are mapped; others follow by their priors."""

FEATURES = 1 + LABELS
"""A constant, and a slope with each of them."""

BEND = 2.5
"""Labels level off at this many grid standard deviations: the map never runs away."""


class MapTerms(NamedTuple):
    """What `LabelMap.learn` found."""

    weight: Tensor  # (3, 4)
    covariance: Tensor  # (3, 4, 4)
    scatter: Tensor  # (3,) standard deviation of single stars about the map


class LabelMap(nn.Module):
    r"""Scaled labels x of stars to those x' at which theory has their spectra.

    .. math:: x'_k = x_k + \sum_f B_{kf}\, \varphi_f(x), \qquad \varphi = (1,\ \tanh\text{-bent Teff, log g, [Fe/H]}) ,

    It is the identity until `set` is called. An error of theory that looks like a change of labels, the same in all
    stars, is such a map: it moves no residual.
    """

    weight: Tensor
    covariance: Tensor
    scatter: Tensor
    stars: Tensor

    def __init__(self) -> None:
        super().__init__()
        shapes = {
            "weight": (LABELS, FEATURES),
            "covariance": (LABELS, FEATURES, FEATURES),
            "scatter": (LABELS,),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("stars", torch.zeros((), dtype=torch.int64))

    @property
    def known(self) -> bool:
        """Whether stars of known labels have told it."""
        return int(self.stars) > 0

    @torch.no_grad()
    def set(self, terms: MapTerms, stars: int) -> None:
        """Take what so many stars of known labels have told."""
        for name, value in terms._asdict().items():
            getattr(self, name).copy_(value)
        self.stars.fill_(stars)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K) → (B, K), float64."""
        if not self.known:
            return x
        moved = x.clone()
        moved[:, :LABELS] += features(x) @ self.weight.T
        return moved

    def jacobian(self, x: Tensor) -> Tensor:
        """∂x'/∂x, shape (B, K, K)."""
        slope = torch.eye(x.shape[1], dtype=x.dtype).repeat(len(x), 1, 1)
        if self.known:
            bend = 1.0 - features(x)[:, 1:].square() / BEND**2
            slope[:, :LABELS, :LABELS] += self.weight[:, 1:] * bend[:, None]
        return slope

    def variance(self, x: Tensor) -> Tensor:
        """Of the labels that a star is given by the map's own error and the scatter of stars about it, shape (B, K)."""
        found, phi = self.scattered(x), features(x)
        found[:, :LABELS] += torch.einsum("bf,kfg,bg->bk", phi, self.covariance, phi)
        return found

    def scattered(self, x: Tensor) -> Tensor:
        """The share of `variance` that single stars have about the map."""
        found = torch.zeros_like(x)
        found[:, :LABELS] = self.scatter.square()
        return found


def features(x: Tensor) -> Tensor:
    """φ of scaled labels (B, K), shape (B, 4)."""
    bent = BEND * torch.tanh(x[:, :LABELS] / BEND)
    return torch.cat([torch.ones_like(bent[:, :1]), bent], dim=1)
