"""Laplace covariance of a fit."""

import torch

from synth2obs.models.fit.cholesky import cholesky_factor, positive
from synth2obs.models.fit.objective import Iterate, Objective, Solution, information


def with_covariance(objective: Objective, iterate: Iterate) -> Solution:
    """A minimum and its Laplace covariance, from exact sums over pixels."""
    parameters, size = objective.parameters, iterate.theta.shape[1]
    # A continuum that masks leave nearly undetermined costs digits: information below zero would pass the prior's.
    full = positive(information(objective, iterate, parameters.slopes(iterate.theta)))
    prior = parameters.prior(iterate.theta)
    full[:, :size, :size] += prior.curvature
    full[:, -1, -1] += 1.0
    covariance = torch.cholesky_inverse(cholesky_factor(full))
    return Solution(iterate, covariance[:, :size, :size], covariance[:, -1, -1].sqrt() * objective.rv_sigma)
