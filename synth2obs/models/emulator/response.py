"""How strongly a grid answers to each label."""

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped


@shaped
def relevance(
    x: Float[Tensor, "stars labels"], response: Float[Tensor, "stars latents"]
) -> Float[Tensor, " labels"]:
    """Root mean square linear response to each label, as a share of the largest, shape (K,)."""
    design = torch.cat([torch.ones_like(x[:, :1]), x], dim=1)
    normal = design.T @ design + 0.1 * torch.eye(design.shape[1], dtype=x.dtype)
    slopes = torch.cholesky_solve(design.T @ response, torch.linalg.cholesky(normal))[1:]
    size = slopes.square().sum(1).sqrt()
    return size / size.max()
