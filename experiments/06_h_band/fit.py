"""Labels, velocity and macroturbulence of a giant, by least squares with the emulator's slopes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from emulator import Emulator
from numpy.typing import NDArray
from scipy.optimize import least_squares
from seen import Seen
from torch import Tensor

Array = NDArray[np.float64]

START = {"teff": 4500.0, "logg": 2.0, "fe_h": -0.2, "vmic": 1.5}
SPREAD = {"vmic": 0.3, "c_fe": 0.3, "n_fe": 0.3}
OTHER_SPREAD = 0.15
"""σ of the prior about `START` and solar ratios, dex and km/s; Teff, log g and [Fe/H] have none."""

FREE = ("teff", "logg", "fe_h")
VELOCITY, STEP = 30.0, 0.5
"""km/s that a velocity may differ from the published one, and of differences for slopes."""

SOFT = 3.0
"""Errors (with the floor) from which on a pixel's pull grows no more."""


@dataclass(frozen=True)
class Fit:
    """Labels (K,), velocity and macroturbulence in km/s; observed over continuum, and the model, both (P,)."""

    labels: Array
    rv: float
    vmac: float
    observed: Array
    model: Array


def fit(seen: Seen, emulator: Emulator, correction: Tensor, begin: Array | None = None) -> Fit:
    """The best fit of theory alone.

    Args:
        seen: The giant.
        emulator: Of the grid.
        correction: Flux (L,) added to the emulator's: how far it is from theory near the solution.
        begin: Labels to start from; `START` and solar ratios by default.
    """
    names, weight = emulator.names, seen.weight()
    start = np.array([START.get(name, 0.0) for name in names])
    sigma = np.array([np.inf if name in FREE else SPREAD.get(name, OTHER_SPREAD) for name in names])
    root = weight.sqrt()

    def theory(p: Array) -> Tensor:
        rest = emulator.flux(torch.from_numpy(p[None, :-2])).detach() + correction
        return seen(rest, p[-2], p[-1])[0]

    def residual(p: Array) -> Array:
        model = theory(p)
        apart = root * (model - seen.normalized(model, weight))
        return np.concatenate([apart.numpy(), (p[:-2] - start) / sigma])

    def slopes(p: Array) -> Array:
        model = theory(p)
        by_label = seen(emulator.slopes(torch.from_numpy(p[:-2])).detach(), p[-2], p[-1])
        moved = [_moved(theory, p, column) for column in (len(p) - 2, len(p) - 1)]
        free = _beside(root[:, None] * model[:, None] * seen.basis, root * torch.cat([by_label, *moved]))
        below = np.hstack([np.diag(1.0 / sigma), np.zeros((len(sigma), 2))])
        return np.vstack([free.numpy(), below])

    low = np.append(emulator.space.lower, [seen.giant.rv - VELOCITY, 0.1])
    high = np.append(emulator.space.upper, [seen.giant.rv + VELOCITY, 15.0])
    first = np.append(start if begin is None else begin, [seen.giant.rv, 4.0])
    first = np.clip(first, low + 1e-3, high - 1e-3)
    best = least_squares(
        residual, first, slopes, bounds=(low, high), x_scale="jac", loss="soft_l1", f_scale=SOFT, max_nfev=40
    ).x
    model = theory(best)
    observed = seen.normalized(model, weight)
    return Fit(best[:-2], float(best[-2]), float(best[-1]), observed.numpy(), model.numpy())


def _moved(model: Callable[[Array], Tensor], p: Array, column: int) -> Tensor:
    step = np.zeros_like(p)
    step[column] = STEP
    return ((model(p + step) - model(p)) / STEP)[None]


def _beside(continuum: Tensor, columns: Tensor) -> Tensor:
    """Columns (M, P) without what the continuum's (P, C) can do, shape (P, M) (Kaufman 1975)."""
    basis = torch.linalg.qr(continuum).Q
    return columns.T - basis @ (basis.T @ columns.T)
