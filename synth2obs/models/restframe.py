"""Residuals of native pixels on the rest grid, where gaps of different stars can be compared."""

import numpy as np
import torch
from torch import Tensor

from synth2obs.models.inference import Fit, Observation
from synth2obs.physics.doppler import log_doppler


def to_rest(seen: Observation, fit: Fit, rest_wavelength: Tensor) -> tuple[Tensor, Tensor]:
    """Residuals and their inverse variance, shifted to the rest frame and interpolated linearly.

    Args:
        seen: The spectra, N stars.
        fit: Their fit; residuals are in units of the continuum.
        rest_wavelength: Vacuum Å, shape (L,).

    Returns:
        Residual and ivar of the noise alone, shape (N, L) each; ivar is 0 where either neighbour is masked
        or the star has no pixels.
    """
    grid = rest_wavelength.log().numpy()
    native = seen.log_wave.expand(len(seen), -1).numpy()
    rest = native - log_doppler(fit.rv).numpy()[:, None]
    noise = seen.ivar * fit.continuum.square()
    residuals, ivars = [], []
    for x, residual, ivar in zip(rest, fit.residual.numpy(), noise.numpy(), strict=True):
        upper = np.clip(np.searchsorted(x, grid), 1, len(x) - 1)
        share = np.clip((grid - x[upper - 1]) / (x[upper] - x[upper - 1]), 0.0, 1.0)
        inside = (grid >= x[0]) & (grid <= x[-1]) & (ivar[upper - 1] > 0) & (ivar[upper] > 0)
        residuals.append((1 - share) * residual[upper - 1] + share * residual[upper])
        ivars.append(np.where(inside, (1 - share) * ivar[upper - 1] + share * ivar[upper], 0.0))
    return (
        torch.from_numpy(np.stack(residuals)).float(),
        torch.from_numpy(np.stack(ivars)).float(),
    )
