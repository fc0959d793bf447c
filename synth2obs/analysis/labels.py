"""Labels and latents of observed spectra, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.flags import LIMIT, OPEN, RIVAL, UNSETTLED, WIDTH, meaning
from synth2obs.analysis.per_star import speeds
from synth2obs.analysis.star_flags import star_flags
from synth2obs.analysis.widths import Fitted, Widths, fits
from synth2obs.core.labels import STELLAR, unit_of
from synth2obs.core.shown import Shown, Summary
from synth2obs.core.spectra import Spectra
from synth2obs.io.tables import as_table
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import encode
from synth2obs.models.priors.known import Known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVED = 0.1
"""Change of a scaled label by further steps that sets a bit."""


LEAST_GAIN = 1.0
"""Bits that a spectrum must tell of Teff, log g and [Fe/H]: an error half as wide as without it."""


@dataclass(frozen=True, repr=False)
class Latents(Shown):
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

    def summary(self) -> Summary:
        """What is shown of it."""
        stars, size = self.mean.shape
        sigma = np.sqrt(np.diagonal(self.covariance, axis1=1, axis2=2))
        rows = {
            "mean": f"({stars}, {size}), rms {np.sqrt(np.mean(self.mean**2)):.2f}; the grid has 1",
            "covariance": f"({stars}, {size}, {size}), median σ {np.median(sigma):.2g}",
            "rv": f"median {np.median(self.rv):.1f} km/s, errors of {np.median(self.rv_error):.2g} km/s",
            "chi2": f"median {np.median(self.chi2 / np.maximum(self.pixels, 1)):.2f} per pixel",
        }
        title = f"Latents of {stars} star{'s' * (stars != 1)}, {size} each, in the survey's latent space"
        return Summary(title, rows, '.plot(), synth2obs.decode(bridge, latents, "SURVEY")')

    def plot(self, first: int = 0, second: int = 1) -> "Figure":
        """Two latents of every star with their errors, beside the grid's 1 and 2 σ circles.

        Args:
            first, second: Which latents, from 0.

        Raises:
            DataError: For a latent that is not there.
        """
        from synth2obs.analysis.plots import plot_latents

        return plot_latents(self, first, second)


@dataclass(frozen=True)
class Labels:
    """Labels of N stars by name, with errors, in the grid's units; ``flags`` as in `FLAGS`.

    ``gains`` are what each spectrum tells of a label, in bits: log₂ of the error without it over the error with it.

    ``vsini`` in km/s and ``lsf_scale``, a factor on the survey's σ, and their errors (0 where they were given) are None
    where a fit was not told of them.
    """

    id: NDArray[np.str_]
    values: dict[str, NDArray[np.float64]]
    errors: dict[str, NDArray[np.float64]]
    gains: dict[str, NDArray[np.float64]]
    rv: NDArray[np.float64]
    rv_error: NDArray[np.float64]
    chi2: NDArray[np.float64]
    pixels: NDArray[np.int64]
    flags: NDArray[np.int64]
    vsini: NDArray[np.float64] | None = None
    vsini_error: NDArray[np.float64] | None = None
    lsf_scale: NDArray[np.float64] | None = None
    lsf_scale_error: NDArray[np.float64] | None = None


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
def labels_of(
    bridge: Bridge,
    spectra: Spectra,
    survey: str,
    *,
    population: bool = True,
    vsini: ArrayLike | None = None,
    lsf: ArrayLike | None = None,
    vmac: float = 0.0,
    priors: Mapping[str, ArrayLike] | None = None,
) -> Labels:
    """Fit all labels of the grid through the survey's morph and gap.

    Levenberg–Marquardt over labels, velocity and continuum; errors from the Laplace covariance with the
    survey's noise, scatter and correlation.

    Args:
        bridge: Trained.
        spectra: Observed.
        survey: By which survey.
        population: Use the stellar-evolution prior on (Teff, log g) at given [Fe/H].
        vsini: Rotation in km/s that is held, one value or one per star, or ``"fit"``; None: no star rotates.
        lsf: Factor on the survey's σ that is held, one value or one per star, or ``"fit"``; None: the survey's own σ.
        vmac: Macroturbulence in km/s that is held, the same for all stars.
        priors: Labels known from elsewhere and their errors, see `Known.of`.

    Raises:
        DataError: For a vsini, lsf, vmac or priors that cannot be.
    """
    widths, cells = Widths.of(vsini, lsf, len(spectra)), float(speeds("vmac", vmac, 1))
    seen = prepare(bridge, survey, spectra)
    if priors is not None:
        seen = replace(seen, known=Known.of(bridge.labels, bridge.scale, len(seen), priors))
    found = fits(bridge, seen, Options(population=population, vmac=cells), widths)
    fit = _mapped(bridge, survey, found.last)
    table = bridge.scale.inverse(fit.x).numpy()
    sigma = (fit.covariance.diagonal(dim1=1, dim2=2).sqrt() * bridge.scale.slope(fit.x).abs()).numpy()
    gain = information_gain(bridge, seen, fit, population).numpy()
    names = bridge.labels.names
    return Labels(
        spectra.id,
        {name: table[:, k] for k, name in enumerate(names)},
        {name: sigma[:, k] for k, name in enumerate(names)},
        {name: gain[:, k] for k, name in enumerate(names)},
        fit.rv.numpy(),
        fit.rv_error.numpy(),
        fit.chi2.numpy(),
        fit.pixels.numpy(),
        star_flags(bridge, survey, fit) | _label_flags(bridge, found, gain),
        **{name: column.numpy() for name, column in found.columns.items()},
    )


def _mapped(bridge: Bridge, survey: str, fit: LabelFit) -> LabelFit:
    """With the share of the labels' covariance that stars of known labels leave open."""
    own = bridge.survey(survey).label_map
    return (
        replace(fit, covariance=fit.covariance + torch.diag_embed(own.variance(fit.x))) if own.known else fit
    )


def label_table(found: Labels) -> Any:
    """Labels as an `astropy.table.Table` with a unit on every column; its meta says what the flags mean."""
    columns: dict[str, NDArray[Any]] = {"id": found.id}
    units = dict.fromkeys(("rv", "rv_error", "vsini", "vsini_error"), "km/s")
    for name, values in found.values.items():
        columns |= {name: values, f"{name}_error": found.errors[name], f"{name}_gain": found.gains[name]}
        units[f"{name}_gain"] = "bit"
        units |= dict.fromkeys((name, f"{name}_error"), unit_of(name).split("(")[0])
    names = ["rv", "rv_error", "vsini", "vsini_error", "lsf_scale", "lsf_scale_error"]
    names += ["chi2", "pixels", "flags"]
    columns |= {name: getattr(found, name) for name in names if getattr(found, name) is not None}
    return as_table(columns, units, flags=meaning())


@torch.no_grad()
def information_gain(bridge: Bridge, seen: Observation, fit: LabelFit, population: bool) -> Tensor:
    """Bits that spectra tell of each label beyond priors and the grid's range, shape (N, K).

    Without a spectrum a label is as wide as its prior and no wider than the grid, a uniform density of which has a
    variance of a twelfth of its range squared.
    """
    ends = bridge.scale(torch.as_tensor(np.stack([bridge.labels.lower, bridge.labels.upper])))
    precision = bridge.label_prior(population=population)(fit.x).curvature
    precision = precision + torch.diag_embed(12.0 / (ends[1] - ends[0]).square())
    if seen.known is not None:
        precision = precision + torch.diag_embed(seen.known.precision)
    before = torch.linalg.inv(precision).diagonal(dim1=1, dim2=2)
    after = fit.covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-30)
    return (0.5 * torch.log2(before / after)).clamp(min=0.0)


def _label_flags(bridge: Bridge, found: Fitted, gain: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bits that take more than the last fit to tell, shape (N,)."""
    moved = (found.last.x - found.first.x).abs().amax(1).numpy()
    limit, rival = found.limit.numpy() * np.int64(LIMIT), found.rival.numpy() * np.int64(RIVAL)
    width = found.width.numpy() * np.int64(WIDTH)
    vague = (gain[:, [bridge.labels.index(name) for name in STELLAR]] < LEAST_GAIN).any(1) * np.int64(OPEN)
    return (moved > MOVED) * np.int64(UNSETTLED) + limit + rival + vague + width
