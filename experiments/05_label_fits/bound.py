"""The Cramér–Rao bound of labels under a covariance that is known exactly: dense matrices, a star at a time."""

import torch
from scenes import Truth
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation


@torch.no_grad()
def cramer_rao(bridge: Bridge, seen: Observation, x: Tensor, rv: Tensor, truth: Truth | None) -> Tensor:
    """Smallest covariance of scaled labels, priors included, continuum and velocity free: (N, K, K).

    Args:
        bridge: Gives theory and priors.
        seen: The spectra.
        x: True scaled labels, (N, K).
        rv: True velocities, km/s.
        truth: How theory errs.
    """
    model, rows = bridge.survey(seen.survey), torch.arange(len(seen))
    functions = model.project(bridge.decoder, seen.instrument, rv, rows).double()
    coefficients = bridge.from_labels(seen.survey, x, morphed=False)
    curvature = bridge.label_prior()(x).curvature
    found = []
    for star in range(len(seen)):
        spectrum = functions[star, :, :-1] @ coefficients.value[star].double()
        theta = functions[star, :, :-1] @ coefficients.jacobian[star].double()
        by_rv = torch.gradient(spectrum, spacing=(seen.log_wave.double(),))[0] / 3e5
        columns = torch.cat([theta, by_rv[:, None], spectrum[:, None] * seen.continuum_basis.double()], dim=1)
        found.append(_bound(columns, seen.ivar[star], functions[star, :, -1], truth, curvature[star]))
    return torch.stack(found)


def _bound(columns: Tensor, ivar: Tensor, scatter: Tensor, truth: Truth | None, curvature: Tensor) -> Tensor:
    good, size = ivar > 0, len(curvature)
    covariance = torch.diag(1.0 / ivar[good].double())
    if truth is not None:
        kernel = truth.correlation(len(ivar))[good][:, good]
        covariance = covariance + scatter[good, None] * kernel * scatter[good]
    half = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), columns[good], upper=False)
    information = half.T @ half
    information[:size, :size] += curvature
    information[size, size] += 1 / 30.0**2
    return torch.linalg.inv(information)[:size, :size]
