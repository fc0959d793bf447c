"""Functions of labels in which a gap is linear."""

import torch
from jaxtyping import Float
from torch import Tensor

from synth2obs.core.shapes import shaped


@shaped
def polynomial(
    values: Float[Tensor, "stars labels"], degree: int
) -> tuple[Float[Tensor, "stars features"], Float[Tensor, "stars features labels"]]:
    """Features 1, y and, for degree 2, all products of two, with their Jacobian.

    Args:
        values: Standardised labels, shape (B, K).
        degree: 0, 1 or 2.

    Returns:
        Shape (B, F) and (B, F, K) with F = 1, 1 + K or 1 + K + K (K + 1) / 2.
    """
    if degree not in (0, 1, 2):
        raise ValueError(f"degree must be 0, 1 or 2, got {degree}")
    count, size = values.shape
    eye = torch.eye(size, dtype=values.dtype)
    parts, slopes = [torch.ones_like(values[:, :1])], [values.new_zeros(count, 1, size)]
    if degree >= 1:
        parts.append(values)
        slopes.append(eye.expand(count, -1, -1))
    if degree >= 2:
        rows, columns = torch.triu_indices(size, size).unbind()
        parts.append(values[:, rows] * values[:, columns])
        slopes.append(eye[rows] * values[:, columns, None] + eye[columns] * values[:, rows, None])
    return torch.cat(parts, dim=1), torch.cat(slopes, dim=1)
