"""What native pixels say, on the rest grid, where different stars can be compared."""

import numpy as np
import torch
from torch import Tensor

from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import Fit
from synth2obs.physics.doppler import log_doppler


def to_rest(
    seen: Observation, fit: Fit, rest_wavelength: Tensor, values: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Residuals (or other values) and their inverse variance, shifted to the rest frame, interpolated linearly.

    Args:
        seen: The spectra, N stars.
        fit: Their fit; residuals are in units of the continuum.
        rest_wavelength: Vacuum Å, shape (L,).
        values: Native values to carry over instead of the residuals, shape (N, P).

    Returns:
        Values and ivar of the noise alone in units of the continuum, shape (N, L) each; ivar is 0 where either
        neighbour is masked, the two are on different detectors, or the star has no pixels.
    """
    grid = rest_wavelength.log().numpy()
    native = seen.log_wave.expand(len(seen), -1).numpy()
    rest = native - log_doppler(fit.rv).numpy()[:, None]
    noise = (seen.ivar * fit.continuum.square() * (fit.ivar > 0)).numpy()
    carried = (fit.residual if values is None else values).numpy()
    if not len(seen):
        return torch.zeros(0, len(grid)), torch.zeros(0, len(grid))
    joined = (seen.segment.diff() == 0).numpy()
    rows = [_onto(grid, x, joined, value, ivar) for x, value, ivar in zip(rest, carried, noise, strict=True)]
    found, weight = (torch.from_numpy(np.stack(column)).float() for column in zip(*rows, strict=True))
    return found, weight


def _onto(
    grid: np.ndarray, x: np.ndarray, joined: np.ndarray, value: np.ndarray, ivar: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    upper = np.clip(np.searchsorted(x, grid), 1, len(x) - 1)
    share = np.clip((grid - x[upper - 1]) / (x[upper] - x[upper - 1]), 0.0, 1.0)
    inside = (grid >= x[0]) & (grid <= x[-1]) & (ivar[upper - 1] > 0) & (ivar[upper] > 0) & joined[upper - 1]
    weight = (1 - share) * ivar[upper - 1] + share * ivar[upper]
    return (1 - share) * value[upper - 1] + share * value[upper], np.where(inside, weight, 0.0)
