r"""The wavelength distortion of a survey, from what its stars leave of theory, without any star's label.

Around a fit of a star, in units of its continuum, a velocity in each of the windows i of the spectrum moves the model
by :math:`Z_i = 1_i\,\partial s / \partial v`. Whatever else a fit is free to do, latents, continuum, velocity, has
columns X and a prior Λ. With the weights C⁻¹ of the pixels, the windows' velocities have the information and the
gradient

.. math:: M = Z^T C^{-1} Z - Z^T C^{-1} X\,(X^T C^{-1} X + \Lambda)^{-1} X^T C^{-1} Z , \qquad m = Z^T C^{-1} r - \dots

of which all stars together make :math:`v = M^+ m`: one linear step, repeated with the distortion found so far taken
out. Since X has the velocity of every star, a common constant is in no star's M. `smooth_velocity` draws polynomials
through the windows.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.core.robust import middle
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.distortion import TERMS, WavelengthDistortion
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.result import LatentFit
from synth2obs.models.fit.smooth_velocity import smooth
from synth2obs.models.fit.task import encode

FEW = 8
"""Stars worked on at a time: each has a matrix with a row per pixel."""

ROUNDS, SETTLED = 4, 0.3
"""Most linear steps, and change of the velocity in its errors below which they end."""

STEP = 2.0
"""km/s; half the difference that gives a spectrum's change with velocity."""

CLIP = 3.0
"""Residuals count in full up to so many times their star's usual one (Huber)."""

FREEDOM = 4.0
"""Stars count as if their velocities had the tails of a t distribution of so many degrees of freedom."""

ROUNDING, SINGULAR = 1e-11, 1e-7
"""Added to matrices whose diagonal is 1; share of the largest eigenvalue below which an eigenvalue is rounding."""

GROUPS = 8
"""Parts of the stars, each left out once, from which errors of the windows follow (jackknife)."""


class Sums(NamedTuple):
    """What each star says of the windows' velocities."""

    information: Tensor  # (N, W, W)
    gradient: Tensor  # (N, W)
    own: Tensor  # (N, W) information if nothing else were free

    def take(self, rows: Tensor) -> "Sums":
        """Some of the stars."""
        return Sums(*(part[rows] for part in self))


class Joint(NamedTuple):
    """What stars say together."""

    velocity: Tensor  # (W,) with a mean of zero under `weight`
    information: Tensor  # (W, W), as the stars' scatter has it
    weight: Tensor  # (W,)


@torch.no_grad()
def learn_distortion(bridge: Bridge, survey: str, spectra: Spectra, degree: int) -> dict[str, float]:
    """Set a survey's wavelength distortion to what some of its stars say.

    Args:
        bridge: Its model of the survey is changed in place.
        survey: Its name.
        spectra: Its stars, with the wavelengths that it states.
        degree: Highest degree of the polynomials on a detector.

    Returns:
        Numbers for a log.
    """
    own = bridge.survey(survey).distortion
    window = own.window_of(spectra.wavelength, spectra.segment)
    for _ in range(ROUNDS):
        seen, before = prepare(bridge, survey, spectra), own.at_windows()
        fit = encode(bridge, seen)
        _learn(own, star_sums(bridge, seen, fit, window, own.windows * len(own.number)), degree)
        if bool(((own.at_windows() - before).abs() <= SETTLED * own.at_windows_error()).all()):
            break
    _learn_zero_point(own, seen, fit)
    found = {"distortion_rms": float(own.at_windows().square().mean().sqrt())}
    for name in ("degree", "log_odds", "scatter"):
        found[f"distortion_{name}"] = float(getattr(own, name))
    return found | ({"zero_point": float(own.zero_point)} if bool(own.zero_point.isfinite()) else {})


def star_sums(bridge: Bridge, seen: Observation, fit: LatentFit, window: Tensor, count: int) -> Sums:
    """What each star says of velocities in windows, relative to those that its wavelengths have now.

    Args:
        bridge: With the decoder; the survey's gap is not moved.
        seen, fit: Stars and their encoding.
        window: Of each pixel, shape (P,) or (N, P).
        count: W.
    """
    parts = []
    for rows in torch.arange(len(seen)).split(FEW):
        own = window if window.dim() == 1 else window[rows]
        parts.append(_few_sums(bridge, seen, fit, rows, one_hot(own, count).double()))
    return Sums(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _few_sums(bridge: Bridge, seen: Observation, fit: LatentFit, rows: Tensor, window: Tensor) -> Sums:
    free, slope = _columns(bridge, seen, fit, rows)
    residual = fit.residual[rows].double()
    weight = _robust(residual, (fit.ivar[rows] * fit.continuum[rows].square()).double())
    prior = torch.zeros(free.shape[-1], dtype=torch.float64)
    prior[: fit.u.shape[1]] = 1.0
    weighted = free * weight[..., None]
    uphill = (weighted.mT @ residual[..., None])[..., 0]
    uphill[:, : fit.u.shape[1]] -= fit.u[rows]
    normal = weighted.mT @ free + torch.diag(prior)
    scale = normal.diagonal(dim1=1, dim2=2).clamp(min=1e-30).rsqrt()
    eye = torch.eye(len(prior), dtype=torch.float64)
    factor = torch.linalg.cholesky(scale[:, :, None] * normal * scale[:, None] + ROUNDING * eye)
    crossed = scale[..., None] * ((weighted * slope[..., None]).mT @ window)
    taken = torch.cholesky_solve(crossed, factor)
    own = ((weight * slope.square())[:, None] @ window)[:, 0]
    pulled = ((weight * slope * residual)[:, None] @ window)[:, 0]
    gradient = pulled - (taken.mT @ (scale * uphill)[..., None])[..., 0]
    return Sums(torch.diag_embed(own) - crossed.mT @ taken, gradient, own)


def _columns(bridge: Bridge, seen: Observation, fit: LatentFit, rows: Tensor) -> tuple[Tensor, Tensor]:
    """What a fit is free to change, in units of the continuum, (B, P, D + C + 1), the velocity last; and that alone."""
    model, decoder = bridge.survey(seen.survey), bridge.decoder_of(seen.survey)
    instrument, stars = seen.instrument, seen.instrument_rows(rows)
    rv, u = fit.rv[rows], fit.u[rows]
    functions = model.project(decoder, instrument, rv, stars).double()
    by_latent = functions @ model.coefficients(decoder, u).jacobian.double()
    rest, width = decoder(u.float()), float(model.width_scale)
    later, earlier = (instrument(rest, rv + step, width, stars) for step in (STEP, -STEP))
    slope = ((later - earlier) / (2.0 * STEP)).double()
    level = fit.continuum[rows].where(fit.continuum[rows].abs() > 1e-3, 1e-3)
    continuum = seen.rows("continuum_basis", rows) * (fit.spectrum[rows] / level)[..., None]
    return torch.cat([by_latent, continuum.double(), slope[..., None]], dim=-1), slope


def _robust(residual: Tensor, weight: Tensor) -> Tensor:
    """Inverse variances (B, P) as a star's own residuals have them, those far out counting less."""
    sigmas = (residual * weight.sqrt()).abs().where(weight > 0, torch.nan)
    usual = MAD_TO_SIGMA * sigmas.nanmedian(1, keepdim=True).values.nan_to_num(1.0).clamp(min=1e-6)
    return weight / usual.square() * (CLIP * usual / sigmas).nan_to_num(0.0).clamp(max=1.0)


def joint(sums: Sums) -> Joint:
    """The velocities that stars have in common, robust against single ones."""
    inverse = torch.linalg.pinv(sums.information, rtol=SINGULAR, hermitian=True)
    rank = (sums.own > 0).sum(1).sub(1).clamp(min=1)
    share = torch.ones(len(rank), dtype=torch.float64)
    for _ in range(ROUNDS):
        whole = torch.einsum("n,nij->ij", share, sums.information)
        velocity = torch.linalg.pinv(whole, rtol=SINGULAR, hermitian=True) @ (share @ sums.gradient)
        left = sums.gradient - sums.information @ velocity
        excess = torch.einsum("ni,nij,nj->n", left, inverse, left) / rank
        share = (FREEDOM + 1.0) / (FREEDOM + excess)
    weight = share @ sums.own
    spread = float((share * excess).sum() / share.sum())
    return Joint(
        velocity - (weight @ velocity) / weight.sum().clamp(min=1e-30), whole / max(spread, 1e-30), weight
    )


def _learn(own: WavelengthDistortion, sums: Sums, degree: int) -> None:
    """One linear step: windows, and the polynomials through them."""
    found, applied = joint(sums), own.at_windows()
    group = torch.arange(len(sums.own)) % min(GROUPS, len(sums.own))
    each = torch.stack(
        [joint(sums.take((group != left).nonzero()[:, 0])).velocity for left in group.unique()]
    )
    error = ((each - each.mean(0)).square().sum(0) * (len(each) - 1) / len(each)).sqrt()
    velocity, basis = found.velocity + applied, own.at_windows_basis()
    order = torch.arange(TERMS).repeat(len(own.number))
    best = smooth(velocity, found.information, basis, order, min(degree, TERMS - 1))
    share = found.weight / found.weight.sum().clamp(min=1e-30)
    constant = torch.outer((order == 0).double(), share @ basis)
    centred = torch.eye(len(order), dtype=torch.float64) - constant
    own.weight.copy_((centred @ best.weight).unflatten(0, (-1, TERMS)))
    own.covariance.copy_(centred @ best.covariance @ centred.T)
    for name, value in (("degree", best.degree), ("log_odds", best.log_odds), ("scatter", best.scatter)):
        getattr(own, name).fill_(value)
    shape, told = own.window_velocity.shape, found.weight > 0
    own.window_velocity.copy_((velocity - share @ velocity).where(told, torch.nan).view(shape))
    own.window_error.copy_(error.where(told, torch.nan).view(shape))


def _learn_zero_point(own: WavelengthDistortion, seen: Observation, fit: LatentFit) -> None:
    """Median of fitted minus given velocities, where any are given."""
    given = torch.ones(len(seen), dtype=torch.bool) if seen.unknown is None else ~seen.unknown
    difference = (fit.rv - seen.rv)[given]
    if not len(difference):
        return
    median, error = middle(difference.numpy())
    own.zero_point.fill_(float(median))
    own.zero_point_error.fill_(float(error))
