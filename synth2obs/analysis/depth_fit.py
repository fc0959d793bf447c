r"""Depths of a line in many stars, :math:`d_n = \exp(x_n^T\theta) + \epsilon_n`, and what they say of priors of θ."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Variance = Callable[[Floats], Floats]

SCATTERS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Scatter of depths beyond what is known, in units of the typical depth; the most probable is taken."""

STEPS, TRIES = 15, 8
LARGEST = 2.0
"""Largest step of a coefficient: e² in depth."""

OUTLIER = 4.0
"""σ from which a star counts no more than it would there."""


@dataclass(frozen=True)
class DepthFit:
    """A Gaussian likelihood of coefficients θ about a solution.

    Args:
        curvature: XᵀWX, shape (P, P).
        pull: XᵀWz, shape (P,).
        square: zᵀWz.
        theta: The solution, shape (P,).
        scatter: Of depths beyond what is known, in normalised flux.
    """

    curvature: Floats
    pull: Floats
    square: float
    theta: Floats
    scatter: float

    def log_evidence(self, mean: Floats, covariance: Floats) -> float:
        """Ln ∫ p(d | θ) N(θ; mean, covariance) dθ, up to a constant that all priors share."""
        root = np.linalg.cholesky(covariance)
        left = self.pull - self.curvature @ mean
        square = self.square - 2.0 * mean @ self.pull + mean @ self.curvature @ mean
        factor = np.linalg.cholesky(np.eye(len(mean)) + root.T @ self.curvature @ root)
        gained = np.linalg.solve(factor, root.T @ left)
        return float(-0.5 * (square - gained @ gained) - np.log(np.diag(factor)).sum())


@dataclass(frozen=True)
class _Problem:
    """Depths, what they are measured with, and a prior of θ."""

    design: Floats
    of_labels: Variance
    depth: Floats
    noise: Floats
    good: NDArray[np.bool_]
    mean: Floats
    precision: Floats

    def model(self, theta: Floats) -> Floats:
        """Depths, shape (N,)."""
        return np.exp(np.clip(self.design @ theta, -20.0, 1.0))

    def variance(self, theta: Floats, scatter: float) -> Floats:
        """Of the depths, shape (N,); that of a star far away is what makes it `OUTLIER` σ."""
        model = self.model(theta)
        known = self.noise + scatter**2 + model**2 * np.minimum(self.of_labels(theta), 1.0)
        return np.maximum(known, np.where(self.good, (self.depth - model) / OUTLIER, 0.0) ** 2)

    def objective(self, theta: Floats, variance: Floats) -> float:
        """Half χ² with the prior's."""
        away, left = theta - self.mean, (self.depth - self.model(theta))[self.good]
        return float(0.5 * (left**2 / variance[self.good]).sum() + 0.5 * away @ self.precision @ away)

    def around(self, theta: Floats, variance: Floats) -> tuple[Floats, Floats]:
        """Design in which depths are linear and their weights there, shapes (N, P) and (N,)."""
        weight = np.where(self.good, 1.0 / np.where(self.good, variance, 1.0), 0.0)
        return self.design * self.model(theta)[:, None], weight

    def log_evidence(self, theta: Floats, variance: Floats) -> float:
        """Laplace's, up to the prior's own constant."""
        slope, weight = self.around(theta, variance)
        hessian = (slope * weight[:, None]).T @ slope + self.precision
        normal = 0.5 * np.log(variance[self.good]).sum()
        return float(-self.objective(theta, variance) - normal - 0.5 * np.linalg.slogdet(hessian)[1])


def fit_depths(
    design: Floats,
    of_labels: Variance,
    depth: Floats,
    noise: Floats,
    good: NDArray[np.bool_],
    mean: Floats,
    covariance: Floats,
) -> DepthFit:
    """Most probable θ and scatter, by Levenberg–Marquardt for each scatter of `SCATTERS`.

    Args:
        design: x, shape (N, P); the first column is 1.
        of_labels: Variance of ln d from the labels' errors at θ.
        depth, noise: Depths and the variance of their noise, shape (N,).
        good: Stars that take part, shape (N,).
        mean, covariance: Prior of θ; the typical depth is exp(mean[0]).
    """
    problem = _Problem(
        design,
        of_labels,
        np.where(good, depth, 0.0),
        np.where(good, noise, 1.0),
        good,
        mean,
        np.asarray(np.linalg.inv(covariance), float),
    )
    best = max(_solutions(problem, float(np.exp(mean[0]))), key=lambda found: found[0])
    _, theta, variance, scatter = best
    slope, weight = problem.around(theta, variance)
    target = problem.depth - problem.model(theta) + slope @ theta
    weighted = slope * weight[:, None]
    return DepthFit(
        weighted.T @ slope, weighted.T @ target, float((target**2 * weight).sum()), theta, scatter
    )


def _solutions(problem: _Problem, typical: float) -> Iterator[tuple[float, Floats, Floats, float]]:
    """Evidence, θ, variances and scatter for every scatter, each from where the one before ended."""
    theta = problem.mean.copy()
    for share in SCATTERS:
        scatter = share * typical
        theta = _solved(problem, theta, scatter)
        variance = problem.variance(theta, scatter)
        yield problem.log_evidence(theta, variance), theta, variance, scatter


def _solved(problem: _Problem, theta: Floats, scatter: float) -> Floats:
    damping = 1e-3
    for _ in range(STEPS):
        variance = problem.variance(theta, scatter)
        slope, weight = problem.around(theta, variance)
        weighted = slope * weight[:, None]
        hessian = weighted.T @ slope + problem.precision
        gradient = weighted.T @ (problem.depth - problem.model(theta)) - problem.precision @ (
            theta - problem.mean
        )
        now = problem.objective(theta, variance)
        for _ in range(TRIES):
            damped = hessian + damping * np.diag(np.diag(hessian))
            step = np.clip(np.linalg.solve(damped, gradient), -LARGEST, LARGEST)
            if problem.objective(theta + step, variance) <= now:
                theta, damping = theta + step, max(damping / 5.0, 1e-6)
                break
            damping *= 5.0
        if np.abs(step).max() < 1e-3:
            break
    return theta
