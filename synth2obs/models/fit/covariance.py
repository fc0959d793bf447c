"""Laplace covariance of a fit."""

import torch

from synth2obs.models.fit.objective import Iterate, Objective, Solution, expansion
from synth2obs.models.fit.solver import cholesky_factor


def with_covariance(objective: Objective, iterate: Iterate) -> Solution:
    """A minimum and its Laplace covariance, from exact sums over pixels."""
    continuum = objective.orthonormal
    jacobian, prior = objective.coefficients(iterate.theta).jacobian, objective.prior(iterate.theta)
    size = iterate.theta.shape[1]
    gram = objective.model.gram(expansion(objective, iterate), jacobian)
    inner, outer = gram[:, : size + 1, : size + 1], gram[:, : size + 1, size + 1 :] @ continuum.transform
    basis = continuum.transform.mT @ gram[:, size + 1 :, size + 1 :] @ continuum.transform
    half = torch.linalg.solve_triangular(cholesky_factor(basis), outer.mT, upper=False)
    full = inner - half.mT @ half
    full[:, :size, :size] += prior.curvature
    full[:, -1, -1] += 1.0
    covariance = torch.cholesky_inverse(cholesky_factor(full))
    return Solution(iterate, covariance[:, :size, :size], covariance[:, -1, -1].sqrt() * objective.rv_sigma)
