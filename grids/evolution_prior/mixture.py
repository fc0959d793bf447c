"""A Gaussian mixture fitted to a weighted table by expectation maximisation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Weights (K,), means (K, D) and covariances (K, D, D)."""

    weight: Array
    mean: Array
    covariance: Array

    def coefficients(self) -> Array:
        """Coefficients (1 + D + D * D, K) of the log terms on the monomials of ``monomials``."""
        precision = np.linalg.inv(self.covariance)
        pull = np.einsum("kij,kj->ki", precision, self.mean)
        logdet = np.linalg.slogdet(2.0 * np.pi * self.covariance)[1]
        constant = np.log(self.weight) - 0.5 * logdet - 0.5 * np.einsum("ki,ki->k", pull, self.mean)
        return np.concatenate([constant[:, None], pull, -0.5 * precision.reshape(len(pull), -1)], axis=1).T


def monomials(x: Array) -> Array:
    """One, x and the products of its columns, shape (N, 1 + D + D * D)."""
    return np.concatenate(
        [np.ones((len(x), 1)), x, (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)], axis=1
    )


def expect(mixture: Mixture, terms: Array) -> tuple[Array, Array]:
    """Responsibilities (N, K) and log density (N,) at points given by their monomials."""
    logs = terms @ mixture.coefficients()
    highest = logs.max(axis=1, keepdims=True)
    share = np.exp(logs - highest)
    total = share.sum(axis=1, keepdims=True)
    share /= total
    return share, (np.log(total) + highest)[:, 0]


def maximise(share: Array, weighted: Array, minimum: Array) -> Mixture:
    """The mixture of given responsibilities and weighted monomials, no narrower than ``minimum`` (D, D)."""
    size = len(minimum)
    moments = share.T @ weighted
    total = moments[:, 0] + 1e-12
    mean = moments[:, 1 : 1 + size] / total[:, None]
    second = moments[:, 1 + size :].reshape(-1, size, size) / total[:, None, None]
    return Mixture(total / total.sum(), mean, second - mean[:, :, None] * mean[:, None, :] + minimum)


def fit(
    x: Array, weight: Array, components: int, iterations: int, seed: int, sigma: Array
) -> tuple[Mixture, float]:
    """Fit a mixture.

    Args:
        x: Points, shape (N, D).
        weight: Their weights, shape (N,), sum 1.
        components: Number of components, K.
        iterations: Number of expectation-maximisation steps.
        seed: Seed of the points at which the components start.
        sigma: Width added in quadrature to every component, shape (D,), in the units of x.

    Returns:
        The mixture and its mean log-likelihood.
    """
    rng = np.random.default_rng(seed)
    minimum, centre = np.diag(sigma**2), weight @ x
    terms = monomials(x - centre)  # centred: second moments would lose digits otherwise
    weighted = terms * weight[:, None]
    starts = x[rng.choice(len(x), components, replace=False, p=weight)] - centre
    widths = np.broadcast_to(4.0 * minimum, (components, *minimum.shape)).copy()
    mixture, score = Mixture(np.full(components, 1.0 / components), starts, widths), -np.inf
    for _ in range(iterations):
        share, density = expect(mixture, terms)
        score = float(weight @ density)
        mixture = maximise(share, weighted, minimum)
    return Mixture(mixture.weight, mixture.mean + centre, mixture.covariance), score
