"""The Cramér–Rao bound of labels under a covariance that is known exactly: dense matrices, a star at a time."""

import torch
from scenes import Truth
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation

VAGUE = 100.0
"""Width in scaled labels of what is known of a star without priors: nothing, but matrices have an inverse."""


@torch.no_grad()
def cramer_rao(
    bridge: Bridge, seen: Observation, x: Tensor, rv: Tensor, truth: Truth | None, *, prior: bool = True
) -> Tensor:
    """Smallest covariance of scaled labels, priors included, continuum and velocity free: (N, K, K).

    Args:
        bridge: Gives theory and priors.
        seen: The spectra.
        x: True scaled labels, (N, K).
        rv: True velocities, km/s.
        truth: How theory errs; None: not at all.
        prior: Whether the priors' curvature counts; without it labels are known to `VAGUE` beforehand.
    """
    model, rows = bridge.survey(seen.survey), torch.arange(len(seen))
    functions = model.project(bridge.decoder, seen.instrument, rv, rows).double()
    spread, _ = model.spreads(seen.instrument, rv, rows)
    coefficients = bridge.from_labels(seen.survey, x, morphed=False)
    curvature = bridge.label_prior()(x).curvature if prior else vague(x)
    found = []
    for star in range(len(seen)):
        spectrum = functions[star] @ coefficients.value[star].double()
        theta = functions[star] @ coefficients.jacobian[star].double()
        by_rv = torch.gradient(spectrum, spacing=(seen.log_wave.double(),))[0] / 3e5
        basis = spectrum[:, None] * seen.continuum_basis.double()
        continuum = _continuum(seen, star, basis)
        columns = torch.cat([continuum * theta, continuum * by_rv[:, None], basis], dim=1)
        scatter = continuum[:, 0] * spread[star].double()
        found.append(_bound(columns, seen.ivar[star], scatter, truth, curvature[star]))
    return torch.stack(found)


def vague(x: Tensor) -> Tensor:
    """Precision of what is known without priors, (N, K, K)."""
    return (torch.eye(x.shape[1], dtype=torch.float64) / VAGUE**2).expand(len(x), -1, -1)


def _continuum(seen: Observation, star: int, basis: Tensor) -> Tensor:
    """The star's continuum, (P, 1), from its flux and the true spectrum times the continuum's functions."""
    weight = seen.ivar[star].double().sqrt()[:, None]
    flux = seen.flux[star].double()[:, None]
    return seen.continuum_basis.double() @ torch.linalg.lstsq(weight * basis, weight * flux).solution


def _bound(columns: Tensor, ivar: Tensor, scatter: Tensor, truth: Truth | None, curvature: Tensor) -> Tensor:
    good, size = ivar > 0, len(curvature)
    half = _whitened(columns[good], ivar[good].double(), scatter[good], truth, good)
    information = half.T @ half
    information[:size, :size] += curvature
    information[size, size] += 1 / 30.0**2
    return torch.linalg.inv(information)[:size, :size]


def _whitened(columns: Tensor, ivar: Tensor, scatter: Tensor, truth: Truth | None, good: Tensor) -> Tensor:
    if truth is None:
        return columns * ivar.sqrt()[:, None]
    kernel = truth.correlation(len(good))[good][:, good]
    covariance = torch.diag(1.0 / ivar) + scatter[:, None] * kernel * scatter
    return torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), columns, upper=False)
