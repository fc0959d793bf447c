"""Where stars can be: a stellar-evolution prior on (Teff, log g) at a given [Fe/H].

Stars lie on isochrones. The prior is a Gaussian mixture fitted to the isochrones of four libraries, softened
so that it says where stars can be and not how many there are, plus a broad floor that keeps every label
possible. ``grids/evolution_prior`` builds its numbers; no star's label enters.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from synth2obs.core.evolution import DEFAULT, Evolution, read_evolution

LOG_2PI = math.log(2.0 * math.pi)


class Population(nn.Module):
    """The density p(teff, logg | fe_h): per K and dex, normalised over both at every [Fe/H].

    A mixture over all three labels is conditioned on [Fe/H]: its components then have weights that depend on
    [Fe/H], means linear in it, and constant precisions. Beyond the range in which isochrones were fitted the
    prior stays as it is at the range's end.

    Args:
        evolution: The mixture.
    """

    weight: Tensor
    mean: Tensor
    slope: Tensor
    precision: Tensor
    factor: Tensor
    fe_h_mean: Tensor
    fe_h_variance: Tensor
    fe_h: Tensor

    def __init__(self, evolution: Evolution) -> None:
        super().__init__()
        weight, mean = torch.from_numpy(evolution.weight), torch.from_numpy(evolution.mean)
        slope = torch.from_numpy(evolution.slope)
        widest = torch.from_numpy(np.diag(evolution.floor_sigma**2))
        factor = torch.linalg.cholesky(torch.cat([torch.from_numpy(evolution.inner), widest[None]]))
        share = evolution.floor_weight
        buffers = {
            "weight": torch.cat([(1.0 - share) * weight / weight.sum(), weight.new_tensor([share])]),
            "mean": torch.cat([mean[:, :2], torch.from_numpy(evolution.floor_mean)[None]]),
            "slope": torch.cat([slope, slope.new_zeros(1, 2)]),
            "factor": factor,
            "precision": torch.cholesky_inverse(factor),
            "fe_h_mean": mean[:, 2],
            "fe_h_variance": torch.from_numpy(evolution.covariance[:, 2, 2]),
            "fe_h": torch.from_numpy(evolution.fe_h),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.clone(memory_format=torch.contiguous_format))

    @classmethod
    def load(cls, path: str | Path = DEFAULT) -> "Population":
        """Read the prior from its JSON file; the one that comes with the package if no file is named.

        Raises:
            ModelError: If the file cannot be read or is not such a prior.
        """
        return cls(read_evolution(path))

    def log_prob(self, labels: Tensor) -> Tensor:
        """Log density of (teff, logg) at fe_h, shape (B,), for labels (B, 3) in K, dex and dex."""
        return self._log_terms(_as_labels(labels)).logsumexp(dim=1)

    def gauss_newton(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient and curvature of -log p, for adding to those of half a chi-square.

        The curvature is the mean of the components' precisions, weighted with their responsibilities. At
        fixed [Fe/H] it is an upper bound of the Hessian (the bound of expectation maximisation), so a step
        taken with it does not overshoot; how the weights depend on [Fe/H] enters the gradient only.

        Args:
            labels: Teff in K, log g and [Fe/H] in dex, shape (B, 3).

        Returns:
            Gradient (B, 3) and positive-semidefinite curvature (B, 3, 3), per label unit.
        """
        labels = _as_labels(labels)
        share = self._log_terms(labels).softmax(dim=1)
        inside = ((labels[:, 2] >= self.fe_h[0]) & (labels[:, 2] <= self.fe_h[1])).double()
        # d residual / d labels: the identity in (teff, logg), minus the slope of the mean in fe_h.
        identity = torch.eye(2, dtype=torch.float64, device=labels.device).expand(len(self.slope), 2, 2)
        jacobian = torch.cat([identity, -self.slope[:, :, None]], dim=2)
        weighted = self.precision @ jacobian
        gradient = torch.einsum("bk,bki,kij->bj", share, self._residual(labels), weighted)
        gradient[:, 2] -= (share * self._weight_slope(labels)).sum(dim=1)
        curvature = torch.einsum("bk,kij->bij", share, jacobian.transpose(1, 2) @ weighted)
        mask = torch.stack([torch.ones_like(inside), torch.ones_like(inside), inside], dim=1)
        return gradient * mask, curvature * mask[:, :, None] * mask[:, None, :]

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n stars, shape (n, 3), with [Fe/H] uniform over the range of the prior."""
        options: Any = {"dtype": torch.float64, "device": self.mean.device, "generator": generator}
        fe_h = self.fe_h[0] + (self.fe_h[1] - self.fe_h[0]) * torch.rand(n, **options)
        labels = torch.cat([torch.zeros(n, 2, dtype=torch.float64, device=fe_h.device), fe_h[:, None]], dim=1)
        chosen = torch.multinomial(self._log_weight(fe_h).exp(), 1, generator=generator)[:, 0]
        centre = -self._residual(labels)[torch.arange(n, device=fe_h.device), chosen]
        noise = torch.randn(n, 2, **options)
        labels[:, :2] = centre + torch.einsum("nij,nj->ni", self.factor[chosen], noise)
        return labels

    def _bounded(self, fe_h: Tensor) -> Tensor:
        return fe_h.clamp(self.fe_h[0], self.fe_h[1])

    def _log_weight(self, fe_h: Tensor) -> Tensor:
        """Log weights of the components at [Fe/H] (B,), shape (B, K + 1); the floor is last."""
        offset = self._bounded(fe_h)[:, None] - self.fe_h_mean
        shape = -0.5 * offset**2 / self.fe_h_variance - 0.5 * self.fe_h_variance.log()
        inner = (self.weight[:-1].log() + shape).log_softmax(dim=1) + torch.log1p(-self.weight[-1])
        return torch.cat([inner, self.weight[-1].log().expand(len(fe_h), 1)], dim=1)

    def _weight_slope(self, labels: Tensor) -> Tensor:
        """Derivative of the log weights with [Fe/H], shape (B, K + 1)."""
        slope = -(self._bounded(labels[:, 2])[:, None] - self.fe_h_mean) / self.fe_h_variance
        weight = self._log_weight(labels[:, 2])[:, :-1].softmax(dim=1)
        inner = slope - (weight * slope).sum(dim=1, keepdim=True)
        return torch.cat([inner, torch.zeros_like(inner[:, :1])], dim=1)

    def _residual(self, labels: Tensor) -> Tensor:
        """Distance in (teff, logg) from each component's mean at the star's [Fe/H], shape (B, K + 1, 2)."""
        offset = self._bounded(labels[:, 2])[:, None] - torch.cat(
            [self.fe_h_mean, self.fe_h_mean.new_zeros(1)]
        )
        return labels[:, None, :2] - self.mean - offset[:, :, None] * self.slope

    def _log_terms(self, labels: Tensor) -> Tensor:
        """Log of weight times density of each component, shape (B, K + 1)."""
        residual = self._residual(labels)
        distance = torch.einsum("bki,kij,bkj->bk", residual, self.precision, residual)
        logdet = self.factor.diagonal(dim1=1, dim2=2).log().sum(dim=1)
        return self._log_weight(labels[:, 2]) - LOG_2PI - logdet - 0.5 * distance


def _as_labels(labels: Tensor) -> Tensor:
    if labels.ndim != 2 or labels.shape[1] != 3:
        raise ValueError(f"labels must have shape (B, 3) (teff, logg, fe_h), got {tuple(labels.shape)}")
    return labels.double()
