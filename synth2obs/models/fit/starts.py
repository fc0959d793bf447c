"""Where fits start: velocities by cross-correlation, labels on a lattice of kinds of star."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import BATCH, Observation
from synth2obs.models.fit.velocity import Templates, contrast
from synth2obs.physics.doppler import log_doppler

MIDDLE = (5200.0, 3.0, -0.4)
"""Teff, log g, [Fe/H] from which a fit first looks."""

LATTICE = (10, 6, 5)
"""Values of Teff, log g and [Fe/H], over the grid's range, among which a fit then starts."""

TEMPLATES = (
    (4600.0, 2.0, -0.4),
    (5800.0, 4.2, -0.4),
    (7000.0, 4.2, 0.0),
    (4200.0, 4.6, 0.0),
    (5200.0, 2.5, -2.0),
)
"""Labels of the theory that unknown velocities are looked for with."""


@torch.no_grad()
def starting_velocity(bridge: Bridge, seen: Observation, search: float) -> Tensor:
    """The known velocities, and for the other stars the peak of a cross-correlation with theory; km/s, shape (N,).

    Args:
        bridge: Gives the templates: theory of a few kinds of star.
        seen: The spectra.
        search: Largest velocity in km/s that is looked at.
    """
    if seen.unknown is None or not bool(seen.unknown.any()) or search <= 0:
        return seen.rv
    templates = _templates(bridge, seen.survey, seen.width, search)
    rv = seen.rv.clone()
    for rows in seen.unknown.nonzero()[:, 0].split(BATCH):
        values, weight = contrast(seen.flux[rows], seen.ivar[rows], seen.rows("continuum_basis", rows))
        rv[rows] = templates.velocity(values, weight, seen.rows("log_wave", rows))[0]
    return rv


def _templates(bridge: Bridge, survey: str, width: float, search: float) -> Templates:
    """Templates for a survey with a σ of ``width`` in ln λ; kept while theory stays."""

    def make() -> Templates:
        low, high = log_doppler(torch.tensor([-search, search], dtype=torch.float64)).tolist()
        flux = bridge.rest_flux(_table(bridge, np.array(TEMPLATES)), survey)
        return Templates(flux, decoder.rest_wavelength.log(), width, (low, high))

    decoder = bridge.decoder_of(survey)
    layer = bridge.survey(survey).config.layer
    parts = (*decoder.state_dict().values(), *bridge.emulator.state_dict().values())
    return bridge.native.memo.get(("templates", layer, width, search), parts, make)


def middle(bridge: Bridge, count: int) -> Tensor:
    """Scaled labels from which so many stars are first looked at, shape (count, K)."""
    return _scaled_labels(bridge, np.array([MIDDLE])).expand(count, -1)


def lattice(bridge: Bridge) -> Tensor:
    """Scaled labels at which fits may start, shape (N, K): every kind of star, other labels at their default."""
    space = bridge.labels
    ends = [(space.lower[k], space.upper[k]) for k in map(space.index, STELLAR)]
    axes = [np.linspace(low, high, count + 2)[1:-1] for (low, high), count in zip(ends, LATTICE, strict=True)]
    return _scaled_labels(bridge, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3))


def _scaled_labels(bridge: Bridge, stellar: NDArray[np.float64]) -> Tensor:
    """Scaled labels of (Teff, log g, [Fe/H]), shape (N, 3), kept in the grid's range, the others at their default."""
    return bridge.scale(torch.as_tensor(_table(bridge, stellar)))


def _table(bridge: Bridge, stellar: NDArray[np.float64]) -> NDArray[np.float64]:
    space = bridge.labels
    table = np.tile(space.default, (len(stellar), 1))
    for column, values in zip(map(space.index, STELLAR), stellar.T, strict=True):
        table[:, column] = np.clip(values, space.lower[column], space.upper[column])
    return table
