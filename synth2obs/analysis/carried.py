r"""How uncertain one telescope's view of a star is that was predicted from another's spectrum.

.. math:: \mathrm{var}\,f = \mathrm{diag}(J C J^T) + \mathrm{var}\,\Delta , \qquad J = \partial f / \partial u ,

with C the covariance of the latent found in the source, whose noise it carries over, and the variance of the target's
gap. Velocity and continuum are fitted to the target again where there is one: what these take up of J is no error.
"""

import torch
from torch import Tensor

from synth2obs.analysis.agreement import sampling_covariance
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import Fit
from synth2obs.models.survey import SurveyModel
from synth2obs.physics.instrument import Instrument

STARS = 8
"""Stars at once: each is as many spectra as the decoder has functions."""

RIDGE = 1e-9
"""Of the continuum's normal matrix, relative to its mean diagonal."""


def moved(model: SurveyModel, source: SurveyModel, u: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of the source in the place of another survey, (N, D), and ∂ of them with the source's, (N, D, D)."""
    theory = source.morph.inverse(u)[0]
    slope = model.morph.jacobian(theory) @ torch.linalg.inv(source.morph.jacobian(theory))
    return model.morph(theory)[0], slope


def with_own_noise(fit: Fit) -> Tensor:
    """Covariance of latents (N, D, D) of stars whose χ² says that noise or theory's error is larger than believed.

    The data's part is scaled by χ² per pixel where that is above 1; the prior's stays.
    """
    covariance = fit.covariance
    prior = torch.eye(covariance.shape[1], dtype=covariance.dtype)
    scale = fit.chi2_per_pixel.clamp(min=1.0)[:, None, None]
    return scale * sampling_covariance(covariance, prior) + covariance @ covariance


@torch.no_grad()
def carried_variance(bridge: Bridge, survey: str, rv: Tensor, u: Tensor, covariance: Tensor) -> Tensor:
    """Variance of spectra in the usual pixels that the covariance of their latents makes, continuum and velocity held.

    Args:
        bridge, survey: Trained, and whose view it is.
        rv: km/s, shape (N,).
        u, covariance: Latents in the survey's place, shape (N, D), and their covariance, (N, D, D).

    Returns:
        In units of the continuum squared, shape (N, P).
    """
    parts, instrument = [], bridge.instrument(survey)
    for rows in torch.arange(len(u)).split(STARS):
        slope = _slopes(bridge, survey, instrument, rv[rows], u[rows], None)
        parts.append(_spread(slope, covariance[rows]))
    return torch.cat(parts)


@torch.no_grad()
def prediction_variance(
    bridge: Bridge, seen: Observation, fit: Fit, u: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Variance of spectra predicted for stars that were observed, less what the fit of these takes up.

    Args:
        bridge: Trained.
        seen: Spectra of the target.
        fit: Of these at the latents: velocity and continuum alone.
        u, covariance: As for `carried_variance`.

    Returns:
        What the covariance makes, and what the target's gap does not know, (N, P) each, float64.
    """
    model, carried, unknown = bridge.survey(seen.survey), [], []
    for rows in torch.arange(len(u)).split(STARS):
        stars = seen.instrument_rows(rows)
        slope = _slopes(bridge, seen.survey, seen.instrument, fit.rv[rows], u[rows], stars)
        weight = (fit.ivar[rows] * fit.continuum[rows].square()).double()
        carried.append(_spread(_not_fitted(slope, _nuisances(seen, fit, rows), weight), covariance[rows]))
        gap = model.gap.variance(model.gap.features(u[rows]).float())
        unknown.append(seen.instrument(gap, fit.rv[rows], 0.0, stars).clamp(min=0.0).double())
    return torch.cat(carried), torch.cat(unknown)


def _slopes(
    bridge: Bridge, survey: str, instrument: Instrument, rv: Tensor, u: Tensor, stars: Tensor | None
) -> Tensor:
    """J, shape (B, P, D)."""
    model, decoder = bridge.survey(survey), bridge.decoder_of(survey)
    functions = model.project(decoder, instrument, rv, stars).double()
    return functions @ model.coefficients(decoder, u).jacobian.double()


def _spread(slope: Tensor, covariance: Tensor) -> Tensor:
    """diag(J C Jᵀ), shape (B, P)."""
    return (slope @ covariance.to(slope.dtype) * slope).sum(-1).clamp(min=0.0)


def _nuisances(seen: Observation, fit: Fit, rows: Tensor) -> Tensor:
    """Changes of a spectrum with its continuum and its velocity, in units of the continuum, shape (B, P, C + 1)."""
    spectrum, log_wave = fit.spectrum[rows].double(), seen.rows("log_wave", rows)
    basis = seen.rows("continuum_basis", rows).double()
    level = fit.continuum[rows].double()
    level = level.where(level.abs() > 1e-3, 1e-3)
    by_velocity = torch.gradient(spectrum, dim=1)[0] / torch.gradient(log_wave, dim=-1)[0]
    return torch.cat([basis * (spectrum / level)[..., None], by_velocity[..., None]], dim=-1)


def _not_fitted(slope: Tensor, nuisances: Tensor, weight: Tensor) -> Tensor:
    """J less its weighted projection on nuisances (B, P, C)."""
    weighed = nuisances * weight[..., None]
    normal = weighed.mT @ nuisances
    ridge = RIDGE * normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
    normal = normal + ridge * torch.eye(normal.shape[1], dtype=normal.dtype)
    return slope - nuisances @ torch.linalg.solve(normal, weighed.mT @ slope)
