"""How well labels come back, and what is left when they are held at the literature's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.baselines import stellar_table
from synth2obs.core.constants import LITERATURE_ERRORS
from synth2obs.core.labels import STELLAR
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels


@dataclass(frozen=True)
class Literature:
    """Labels of test stars from the literature: they evaluate, and nothing else.

    Args:
        table: Teff, log g, [Fe/H], shape (N, 3), NaN where unknown.
        usable: Stars with all three, inside the grid, shape (N,).
        errors: Of the table, shape (N, 3): the shard's own, or what is usual where it has none.
    """

    table: NDArray[np.float64]
    usable: NDArray[np.bool_]
    errors: NDArray[np.float64]


def literature(
    bridge: Bridge, spectra: Spectra, usual: Mapping[str, float] = LITERATURE_ERRORS
) -> Literature:
    """What the shard's own labels say, and which stars the grid covers.

    Args:
        bridge: Its grid's range is used.
        spectra: With labels.
        usual: Errors by label, in its unit, where the shard gives none.
    """
    table, errors = _stellar(spectra.labels, len(spectra)), _stellar(spectra.label_errors, len(spectra))
    errors = np.where(np.isfinite(errors), errors, [usual[name] for name in STELLAR])
    columns = [bridge.labels.index(name) for name in STELLAR]
    low, high = bridge.labels.lower[columns], bridge.labels.upper[columns]
    with np.errstate(invalid="ignore"):
        usable = np.asarray(np.isfinite(table).all(1) & (table >= low).all(1) & (table <= high).all(1))
    return Literature(table, usable, errors)


def _stellar(columns: Mapping[str, NDArray[Any]], stars: int) -> NDArray[np.float64]:
    """Columns of Teff, log g and [Fe/H], shape (N, 3), NaN for those that are not there."""
    missing = np.full(stars, np.nan)
    return np.stack([np.asarray(columns.get(name, missing), float) for name in STELLAR], axis=1)


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
