"""Closed-form posterior of the gap by Bayesian linear regression in every wavelength cell."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from synth2obs.core.config import Section
from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import GapPosterior, LabelSlopes
from synth2obs.models.gap.shift import Shift, learned_shift, no_shift, widened, without

BLOCK = 2**22
"""Star-cells that one step of the fit holds in memory, per float64 array."""

TINY = 1e-30
"""Variance of a prior that is as good as zero."""


class GapConfig(Section):
    r"""Prior of a gap, :math:`D_k(\lambda) \sim t_\nu(0, \tau_k^2)`, and how gap and labels are found in turn."""

    name: str
    iterations: int = Field(
        default=2, ge=1, description="rounds of labels given the gap, gap given the labels"
    )
    scale: float = Field(
        default=0.05, ge=0, description="first width τ of the prior of every feature, in flux"
    )
    scatter: float = Field(default=0.0, ge=0, description="first intrinsic scatter, in flux")
    window: int = Field(default=200, ge=1, description="cells over which the prior's width is learned")
    tails: float = Field(
        default=1.0,
        gt=0,
        description="degrees of freedom of the prior: small, few cells are wrong; large, all",
    )
    scatter_window: int = Field(default=5, ge=1, description="cells over which the scatter is learned")
    evidence_steps: int = Field(
        default=12, ge=0, description="steps of type-II maximum likelihood; 0 keeps the first values"
    )
    learn_scale: bool = Field(default=True, description="whether those steps change the prior's width")
    learn_scatter: bool = Field(default=True, description="whether those steps change the scatter")
    learn_shift: bool = Field(
        default=False, description="whether a shift of all stars' labels is told from the gap"
    )
    common: bool = Field(
        default=False,
        description="whether surveys share what their gaps have in common",
    )
    gated: bool = Field(
        default=True,
        description="whether functions of labels have to be asked for by validation stars, and not blur their labels",
    )
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
    slopes: LabelSlopes | None = None,
) -> GapPosterior:
    r"""Closed-form posterior of the gap, with prior and scatter by type-II maximum likelihood.

    .. math:: r_{n\lambda} = \varphi_n^T D(\lambda) + \epsilon,\quad
              \epsilon \sim N(0, 1/\mathrm{ivar} + s_d^2),\quad D_k \sim N(0, \tau_k^2 v_k(\lambda))

    Each round sets :math:`\tau_k^2 = \sum (m_k^2/v_k) / \sum \gamma_k` over a window of cells, with
    :math:`\gamma_k = 1 - C_{kk}/(\tau_k^2 v_k)` (MacKay 1992, Neural Computation 4, 415), and takes one Fisher
    scoring step in :math:`s_d^2`. The local :math:`v_k` are the EM weights of a Student t with ``tails`` degrees of
    freedom (Lange, Little & Taylor 1989, JASA 84, 881), so that a few wrong lines do not free all the others.

    Args:
        residual: Observed minus predicted normalised flux in common cells, shape (N, L).
        ivar: Inverse variance, shape (N, L); 0 makes a cell of a star an exact no-op, whatever its residual.
        features: Shape (N, F), standardised to order unity.
        prior: Prior and its learning.
        slopes: What a shift of labels does to residuals, so that it is told from the gap; None: nothing.

    Returns:
        The posterior, float64, on the device of ``residual``.

    Raises:
        ValueError: If shapes disagree, or ivar is negative or not finite.
    """
    _check(residual, ivar, features)
    phi, own = features.double(), slopes if prior.learn_shift else None
    state = _start(residual, ivar, phi, prior, own)
    for _ in range(prior.evidence_steps):
        state = _improved(state, phi, prior, own)
    step = _all_blocks(state, phi, own)
    covariance = _unscaled(step.shrunk, state.tau2)
    if own is not None:
        covariance = widened(_weight(state), phi, covariance, own, state.shift, _cells(phi))
    return GapPosterior(step.mean, covariance, step.evidence, state.s2, state.tau2, step.null, *state.shift)


class _State(NamedTuple):
    """Data and hyperparameters; τ² is ``scale`` times ``local``."""

    residual: Tensor
    ivar: Tensor
    scale: Tensor
    local: Tensor
    s2: Tensor
    shift: Shift

    @property
    def tau2(self) -> Tensor:
        """Variance of the prior, shape (F, L)."""
        return self.scale * self.local


def _start(
    residual: Tensor, ivar: Tensor, phi: Tensor, prior: GapConfig, slopes: LabelSlopes | None
) -> _State:
    cells, known = residual.shape[1], ivar.double()
    r = torch.where(known > 0, residual.double(), 0.0)
    scale = phi.new_full((phi.shape[1], cells), prior.scale**2)
    shift, s2 = no_shift(phi, slopes), phi.new_full((cells,), prior.scatter**2)
    return _State(r, known, scale, torch.ones_like(scale), s2, shift)


def _improved(state: _State, phi: Tensor, prior: GapConfig, slopes: LabelSlopes | None) -> _State:
    """One step of everything that is learned."""
    step = _all_blocks(state, phi, slopes)
    if slopes is not None:
        covariance = _unscaled(step.shrunk, state.tau2)
        shift = learned_shift(state.residual, _weight(state), phi, covariance, slopes, _cells(phi))
        state = state._replace(shift=shift)
    if prior.learn_scale:
        state = _learned_scale(step, state, prior)
    if prior.learn_scatter:
        state = state._replace(s2=_learned_scatter(step, state.s2, prior.scatter_window))
    return state


def _weight(state: _State) -> Tensor:
    return state.ivar / (1.0 + state.ivar * state.s2)


def _unscaled(shrunk: Tensor, tau2: Tensor) -> Tensor:
    """Covariance (L, F, F) from that in units of τ_j τ_k."""
    tau = tau2.T.sqrt()
    return tau[:, :, None] * shrunk * tau[:, None, :]


def _cells(phi: Tensor) -> int:
    return max(BLOCK // len(phi), 1)


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


def _all_blocks(state: _State, phi: Tensor, slopes: LabelSlopes | None) -> _Step:
    """The posterior given the hyperparameters and the shift."""
    left = state.residual if slopes is None else without(state.residual, phi, slopes, state.shift)
    size = _cells(phi)
    columns = left.split(size, 1), state.ivar.split(size, 1), state.tau2.split(size, 1), state.s2.split(size)
    steps = [_posterior(r, w, phi, t, s) for r, w, t, s in zip(*columns, strict=True)]
    join = [torch.cat(parts, dim=-1 if i == 0 else 0) for i, parts in enumerate(zip(*steps, strict=True))]
    return _Step(*join)


def _posterior(residual: Tensor, ivar: Tensor, phi: Tensor, tau2: Tensor, s2: Tensor) -> _Step:
    """One block of cells. With T = diag τ², A = ΦᵀWΦ: C = T^½ (I + T^½ A T^½)⁻¹ T^½, finite at τ = 0."""
    weight = ivar / (1.0 + ivar * s2)
    outer = (phi[:, :, None] * phi[:, None, :]).flatten(1)
    features, tau = phi.shape[1], tau2.T.sqrt()
    curvature = (weight.T @ outer).view(-1, features, features)
    scaled = tau[:, :, None] * curvature * tau[:, None, :]
    chol = torch.linalg.cholesky(torch.eye(features, dtype=tau.dtype, device=tau.device) + scaled)
    shrunk = torch.cholesky_inverse(chol)
    pull = (weight * residual).T @ phi
    mean = tau * (shrunk @ (tau * pull)[:, :, None])[..., 0]
    spread = outer @ (tau[:, :, None] * shrunk * tau[:, None, :]).flatten(1).T
    square = (residual - phi @ mean.T).square() + spread
    log_norm = torch.where(weight > 0, (weight / (2 * torch.pi)).log(), 0.0)
    null = 0.5 * (log_norm - weight * residual.square()).sum(0)
    log_det = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return _Step(
        mean=mean.T,
        shrunk=shrunk,
        evidence=null + 0.5 * (pull * mean).sum(-1) - log_det,
        null=null,
        gradient=(weight.square() * square - weight).sum(0),
        information=weight.square().sum(0),
    )


def _learned_scale(step: _Step, state: _State, prior: GapConfig) -> _State:
    shrunk = step.shrunk.diagonal(dim1=-2, dim2=-1).T
    used, square = (1.0 - shrunk).clamp(min=0), step.mean.square()
    scale = state.scale.clamp(min=TINY)
    local = (prior.tails + (square + state.tau2 * shrunk) / scale) / (prior.tails + 1.0)
    total = smooth(used, prior.window)
    learned = smooth(square / local, prior.window) / total.clamp(min=1e-12)
    return state._replace(scale=torch.where(total > 1e-12, learned, state.scale), local=local)


def _learned_scatter(step: _Step, s2: Tensor, window: int) -> Tensor:
    """Fisher scoring, ``s² + g/I``, pooled over neighbours by their information."""
    information = smooth(step.information[None], window)[0]
    target = smooth((step.gradient + step.information * s2)[None], window)[0]
    return torch.where(information > 0, (target / information.clamp(min=1e-300)).clamp(min=0), s2)


def smooth(rows: Tensor, window: int) -> Tensor:
    """Moving average along the last axis of (R, L), over the cells that exist."""
    half = min(window, 2 * rows.shape[-1]) // 2
    return functional.avg_pool1d(rows[None], 2 * half + 1, stride=1, padding=half, count_include_pad=False)[0]
