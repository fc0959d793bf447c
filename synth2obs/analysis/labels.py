"""Labels and latents of observed spectra, as tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.flags import FLAGS, OUTSIDE, UNSETTLED, quality
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.io.tables import as_table
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import encode, fit_labels

MOVED = 0.1
"""Change of a scaled label by further steps that sets a bit."""


@dataclass(frozen=True)
class Latents:
    """Latents of N stars.

    Args:
        id: Names.
        mean: Shape (N, D); the grid is near N(0, I).
        covariance: Shape (N, D, D).
        rv, rv_error: km/s.
        chi2, pixels: χ² of the good pixels, and their number.
    """

    id: NDArray[np.str_]
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    rv: NDArray[np.float64]
    rv_error: NDArray[np.float64]
    chi2: NDArray[np.float64]
    pixels: NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Labels of N stars by name, with errors, in the grid's units; ``flags`` as in `FLAGS`."""

    id: NDArray[np.str_]
    values: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]
    rv: NDArray[np.float64]
    rv_error: NDArray[np.float64]
    chi2: NDArray[np.float64]
    pixels: NDArray[np.int64]
    flags: NDArray[np.int64]


@torch.no_grad()
def latents_of(bridge: Bridge, spectra: Spectra, survey: str) -> Latents:
    """Encode spectra of a survey: latent, covariance and velocity, from the origin."""
    fit = encode(bridge, prepare(bridge, survey, spectra))
    return Latents(
        spectra.id,
        fit.u.numpy(),
        fit.covariance.numpy(),
        fit.rv.numpy(),
        fit.rv_error.numpy(),
        fit.chi2.numpy(),
        fit.pixels.numpy(),
    )


@torch.no_grad()
def labels_of(bridge: Bridge, spectra: Spectra, survey: str, *, population: bool = True) -> Labels:
    """Fit all labels of the grid through the survey's morph and gap.

    Levenberg–Marquardt over labels, velocity and continuum; errors from the Laplace covariance with the
    survey's noise, scatter and correlation.

    Args:
        bridge: Trained.
        spectra: Observed.
        survey: By which survey.
        population: Use the stellar-evolution prior on (Teff, log g) at given [Fe/H].
    """
    seen = prepare(bridge, survey, spectra)
    first = fit_labels(bridge, seen, Options(population=population, steps=10))
    fit = fit_labels(bridge, seen, Options(population=population, steps=4, refresh=1), first.x, first.rv)
    table = bridge.scale.inverse(fit.x).numpy()
    sigma = (fit.covariance.diagonal(dim1=1, dim2=2).sqrt() * bridge.scale.slope(fit.x).abs()).numpy()
    names = bridge.labels.names
    return Labels(
        spectra.id,
        {name: table[:, k] for k, name in enumerate(names)},
        {name: sigma[:, k] for k, name in enumerate(names)},
        fit.rv.numpy(),
        fit.rv_error.numpy(),
        fit.chi2.numpy(),
        fit.pixels.numpy(),
        quality(fit) | _label_flags(bridge, first, fit, table),
    )


def label_table(found: Labels) -> Any:
    """Labels as an `astropy.table.Table` with a unit on every column; its meta says what the flags mean."""
    columns: dict[str, NDArray[Any]] = {"id": found.id}
    units = {"rv": "km/s", "rv_error": "km/s"}
    for name, values in found.values.items():
        columns |= {name: values, f"{name}_error": found.errors[name]}
        units |= dict.fromkeys((name, f"{name}_error"), unit_of(name).split("(")[0])
    columns |= {name: getattr(found, name) for name in ("rv", "rv_error", "chi2", "pixels", "flags")}
    return as_table(columns, units, flags={str(bit): text for bit, text in FLAGS.items()})


def _label_flags(
    bridge: Bridge, first: LabelFit, fit: LabelFit, table: NDArray[np.float64]
) -> NDArray[np.int64]:
    moved = (fit.x - first.x).abs().amax(1).numpy()
    outside = bridge.labels.outside(table).any(1)
    return outside * np.int64(OUTSIDE) + (moved > MOVED) * np.int64(UNSETTLED)
