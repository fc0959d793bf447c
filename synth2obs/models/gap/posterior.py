"""Closed-form posterior of the gap by Bayesian linear regression in every wavelength cell."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from synth2obs.core.config import Section
from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import GapPosterior

BLOCK = 2**22
"""Star-cells that one step of the fit holds in memory, per float64 array."""


class GapConfig(Section):
    r"""Prior of a gap, :math:`D_k(\lambda) \sim N(0, \tau_k^2(\lambda))`, and how gap and labels are found in turn."""

    name: str
    iterations: int = Field(
        default=2, ge=1, description="rounds of labels given the gap, gap given the labels"
    )
    scale: float = Field(
        default=0.05, ge=0, description="first width τ of the prior of every feature, in flux"
    )
    scatter: float = Field(default=0.0, ge=0, description="first intrinsic scatter, in flux")
    window: int = Field(default=200, ge=1, description="cells over which the prior's width is learned")
    scatter_window: int = Field(default=5, ge=1, description="cells over which the scatter is learned")
    evidence_steps: int = Field(
        default=12, ge=0, description="steps of type-II maximum likelihood; 0 keeps the first values"
    )
    learn_scale: bool = Field(default=True, description="whether those steps change the prior's width")
    learn_scatter: bool = Field(default=True, description="whether those steps change the scatter")
    outlier: float = Field(
        default=4.0, gt=1, description="stars above this multiple of the median χ² are left out"
    )


@shaped
@torch.no_grad()
def gap_posterior(
    residual: Float[Tensor, "stars cells"],
    ivar: Float[Tensor, "stars cells"],
    features: Float[Tensor, "stars features"],
    prior: GapConfig,
) -> GapPosterior:
    r"""Closed-form posterior of the gap, with prior and scatter by type-II maximum likelihood.

    .. math:: r_{n\lambda} = \varphi_n^T D(\lambda) + \epsilon,\quad
              \epsilon \sim N(0, 1/\mathrm{ivar} + s_d^2),\quad D_k \sim N(0, \tau_k^2)

    Each round sets :math:`\tau_k^2 = \sum m_k^2 / \sum \gamma_k` over a window of cells, with
    :math:`\gamma_k = 1 - C_{kk}/\tau_k^2` (MacKay 1992, Neural Computation 4, 415), and takes one Fisher
    scoring step in :math:`s_d^2`.

    Args:
        residual: Observed minus predicted normalised flux in common cells, shape (N, L).
        ivar: Inverse variance, shape (N, L); 0 makes a cell of a star an exact no-op, whatever its residual.
        features: Shape (N, F), standardised to order unity.
        prior: Prior and its learning.

    Returns:
        The posterior, float64, on the device of ``residual``.

    Raises:
        ValueError: If shapes disagree, or ivar is negative or not finite.
    """
    _check(residual, ivar, features)
    cells, phi = residual.shape[1], features.double()
    tau2 = phi.new_full((phi.shape[1], cells), prior.scale**2)
    s2 = phi.new_full((cells,), prior.scatter**2)
    for _ in range(prior.evidence_steps):
        step = _all_blocks(residual, ivar, phi, tau2, s2)
        if prior.learn_scale:
            tau2 = _learned_scale(step, tau2, prior.window)
        if prior.learn_scatter:
            s2 = _learned_scatter(step, s2, prior.scatter_window)
    last = _all_blocks(residual, ivar, phi, tau2, s2)
    covariance = tau2.T.sqrt()[:, :, None] * last.shrunk * tau2.T.sqrt()[:, None, :]
    return GapPosterior(last.mean, covariance, last.evidence, s2, tau2, last.null)


class _Step(NamedTuple):
    """Posterior at given hyperparameters; ``shrunk`` is the covariance in units of τ_j τ_k."""

    mean: Tensor
    shrunk: Tensor
    evidence: Tensor
    null: Tensor
    gradient: Tensor
    information: Tensor


def _check(residual: Tensor, ivar: Tensor, features: Tensor) -> None:
    if residual.ndim != 2 or residual.shape != ivar.shape or len(features) != len(residual):
        raise ValueError(
            "need residual (N, L), ivar (N, L) and features (N, F), got "
            f"{tuple(residual.shape)}, {tuple(ivar.shape)} and {tuple(features.shape)}"
        )
    if not (torch.isfinite(ivar).all() and (ivar >= 0).all()):
        raise ValueError("ivar must be finite and >= 0; set it to 0 where a pixel is bad")
    if not torch.isfinite(features).all():
        raise ValueError("features must be finite; leave out stars whose labels are unknown")


def _all_blocks(residual: Tensor, ivar: Tensor, phi: Tensor, tau2: Tensor, s2: Tensor) -> _Step:
    size = max(BLOCK // len(phi), 1)
    blocks = zip(
        residual.split(size, 1), ivar.split(size, 1), tau2.split(size, 1), s2.split(size), strict=True
    )
    steps = [_posterior(r, w, phi, t, s) for r, w, t, s in blocks]
    join = [torch.cat(parts, dim=-1 if i == 0 else 0) for i, parts in enumerate(zip(*steps, strict=True))]
    return _Step(*join)


def _posterior(residual: Tensor, ivar: Tensor, phi: Tensor, tau2: Tensor, s2: Tensor) -> _Step:
    """One block of cells. With T = diag τ², A = ΦᵀWΦ: C = T^½ (I + T^½ A T^½)⁻¹ T^½, finite at τ = 0."""
    ivar = ivar.double()
    weight = ivar / (1.0 + ivar * s2)
    r = torch.where(ivar > 0, residual.double(), 0.0)
    outer = (phi[:, :, None] * phi[:, None, :]).flatten(1)
    features, tau = phi.shape[1], tau2.T.sqrt()
    curvature = (weight.T @ outer).view(-1, features, features)
    scaled = tau[:, :, None] * curvature * tau[:, None, :]
    chol = torch.linalg.cholesky(torch.eye(features, dtype=tau.dtype, device=tau.device) + scaled)
    shrunk = torch.cholesky_inverse(chol)
    pull = (weight * r).T @ phi
    mean = tau * (shrunk @ (tau * pull)[:, :, None])[..., 0]
    spread = outer @ (tau[:, :, None] * shrunk * tau[:, None, :]).flatten(1).T
    square = (r - phi @ mean.T).square() + spread
    log_norm = torch.where(weight > 0, (weight / (2 * torch.pi)).log(), 0.0)
    null = 0.5 * (log_norm - weight * r.square()).sum(0)
    log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return _Step(
        mean=mean.T,
        shrunk=shrunk,
        evidence=null + 0.5 * (pull * mean).sum(-1) - log_det,
        null=null,
        gradient=(weight.square() * square - weight).sum(0),
        information=weight.square().sum(0),
    )


def _learned_scale(step: _Step, tau2: Tensor, window: int) -> Tensor:
    used = (1.0 - step.shrunk.diagonal(dim1=-2, dim2=-1)).clamp(min=0).T
    total = _smooth(used, window)
    learned = _smooth(step.mean.square(), window) / total.clamp(min=1e-12)
    return torch.where(total > 1e-12, learned, tau2)


def _learned_scatter(step: _Step, s2: Tensor, window: int) -> Tensor:
    """Fisher scoring, ``s² + g/I``, pooled over neighbours by their information."""
    information = _smooth(step.information[None], window)[0]
    target = _smooth((step.gradient + step.information * s2)[None], window)[0]
    return torch.where(information > 0, (target / information.clamp(min=1e-300)).clamp(min=0), s2)


def _smooth(rows: Tensor, window: int) -> Tensor:
    """Moving average along the last axis of (R, L), over the cells that exist."""
    half = min(window, 2 * rows.shape[-1]) // 2
    return functional.avg_pool1d(rows[None], 2 * half + 1, stride=1, padding=half, count_include_pad=False)[0]
