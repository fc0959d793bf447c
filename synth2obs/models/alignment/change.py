"""How far a map of the latent space is from doing nothing, and its slope."""

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped
from synth2obs.models.contracts import Morph

JACOBIAN_STEP = 1e-5


@shaped
def difference_jacobian(
    morph: Morph, u: Float[Tensor, "stars latents"]
) -> Float[Tensor, "stars latents latents"]:
    """∂T/∂u by forward differences in float64, shape (B, D, D)."""
    batch, dim = u.shape
    shifted = u[:, None, :] + JACOBIAN_STEP * torch.eye(dim, dtype=u.dtype)
    moved = morph(shifted.reshape(-1, dim))[0].view(batch, dim, dim)
    return ((moved - morph(u)[0][:, None]) / JACOBIAN_STEP).mT


@shaped
def minimal_change(
    morph: Morph,
    u: Float[Tensor, "stars latents"],
    probes: Float[Tensor, "probes stars latents"] | None = None,
) -> dict[str, Float[Tensor, ""]]:
    r"""How far a morph is from doing nothing; both terms are differentiable.

    :math:`E|T(u)-u|^2` and :math:`E\|\partial T/\partial u - I\|_F^2`, the latter by Hutchinson's
    estimate :math:`E_p|p^T(\partial T - I)|^2` for probes with identity covariance.

    Args:
        morph: T.
        u: Latents, shape (B, D).
        probes: Rademacher or normal draws, shape (K, B, D); None sums over all D axes, which is exact.

    Returns:
        ``displacement`` and ``jacobian``, scalars: means over the batch.
    """
    with torch.enable_grad():
        point = u if u.requires_grad else u.detach().requires_grad_()
        change = morph(point)[0] - point
        rows = _axes(u) if probes is None else probes
        slopes = [torch.autograd.grad(change, point, row, create_graph=True)[0] for row in rows]
    squares = torch.stack([slope.square().sum(-1).mean() for slope in slopes])
    jacobian = squares.sum() if probes is None else squares.mean()
    return {"displacement": change.square().sum(-1).mean(), "jacobian": jacobian}


def _axes(u: Tensor) -> Tensor:
    """The D unit vectors for every star, shape (D, B, D)."""
    one = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    return one[:, None, :].expand(-1, len(u), -1)
