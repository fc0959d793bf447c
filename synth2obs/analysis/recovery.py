"""How well labels come back, and what is left when they are held at the literature's."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.baselines import stellar_table
from synth2obs.core.robust import scatter
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.priors.labels import STELLAR


@dataclass(frozen=True)
class Literature:
    """Labels of test stars from the literature: they evaluate, and nothing else.

    Args:
        table: Teff, log g, [Fe/H], shape (N, 3), NaN where unknown.
        usable: Stars with all three, inside the grid, shape (N,).
    """

    table: NDArray[np.float64]
    usable: NDArray[np.bool_]


def literature(bridge: Bridge, spectra: Spectra) -> Literature:
    """What the shard's own labels say, and which stars the grid covers."""
    missing = np.full(len(spectra), np.nan)
    table = np.stack([np.asarray(spectra.labels.get(name, missing), float) for name in STELLAR], axis=1)
    columns = [bridge.labels.index(name) for name in STELLAR]
    low, high = bridge.labels.lower[columns], bridge.labels.upper[columns]
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(table).all(1) & (table >= low).all(1) & (table <= high).all(1)
    return Literature(table, usable)


def recovery(fitted: NDArray[np.float64], known: Literature) -> dict[str, dict[str, float]]:
    """Bias (median) and scatter (1.4826 MAD) of fitted minus literature, by label."""
    difference = (fitted - known.table)[known.usable]
    if not len(difference):
        return {}
    result = {}
    for name, column in zip(STELLAR, difference.T, strict=True):
        result[name] = {
            "bias": float(np.median(column)),
            "scatter": float(scatter(column)),
            "n": int(len(column)),
        }
    return result


def anchored(
    bridge: Bridge, seen: Observation, known: Literature, rv: Tensor, *, morphed: bool = True
) -> LabelFit:
    """Fit of usable stars with Teff, log g, [Fe/H] held at the literature's; all else is free."""
    rows = torch.from_numpy(np.nonzero(known.usable)[0])
    columns = tuple(bridge.labels.index(name) for name in STELLAR)
    table = np.tile(bridge.labels.default, (len(rows), 1))
    table[:, list(columns)] = known.table[known.usable]
    return held_at(bridge, seen.take(rows), table, columns, rv[rows], morphed=morphed)


@torch.no_grad()
def held_at(
    bridge: Bridge,
    seen: Observation,
    labels: NDArray[np.float64],
    fixed: tuple[int, ...],
    rv: Tensor,
    *,
    morphed: bool = True,
) -> LabelFit:
    """Fit with some labels held; the others, velocity and continuum are free.

    All methods get the same weights (the survey's noise alone) and the same freedom.

    Args:
        bridge: Trained.
        seen: Stars.
        labels: In their units, shape (N, K); where the free ones start.
        fixed: Columns that are held.
        rv: Velocities to start from in km/s, shape (N,).
        morphed: False fits plain theory.
    """
    options = Options(steps=6, refresh=1, scatter=False, population=False, morphed=morphed, fixed=fixed)
    return fit_labels(bridge, seen, options, bridge.scale(torch.as_tensor(labels)), rv)


def fitted_labels(bridge: Bridge, fit: LabelFit) -> NDArray[np.float64]:
    """Teff, log g, [Fe/H] of a fit in their units, shape (N, 3)."""
    return stellar_table(bridge, fit.x).numpy()


def label_errors(bridge: Bridge, fit: LabelFit) -> NDArray[np.float64]:
    """Their standard errors, shape (N, 3)."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    sigma = fit.covariance.diagonal(dim1=1, dim2=2).sqrt() * bridge.scale.slope(fit.x).abs()
    return sigma[:, columns].numpy()
