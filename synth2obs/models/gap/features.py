"""Functions of labels in which a gap is linear."""

import torch
from torch import Tensor


def polynomial_features(values: Tensor, degree: int = 1) -> Tensor:
    """Features 1, y and, for degree 2, all products of two.

    Args:
        values: Standardised labels or latents, shape (B, K).
        degree: 0, 1 or 2.

    Returns:
        Shape (B, 1), (B, 1 + K) or (B, 1 + K + K(K+1)/2).
    """
    if degree not in (0, 1, 2):
        raise ValueError(f"degree must be 0, 1 or 2, got {degree}")
    terms = [torch.ones_like(values[:, :1]), values][: degree + 1]
    if degree == 2:
        rows, columns = torch.triu_indices(values.shape[1], values.shape[1]).unbind()
        terms.append(values[:, rows] * values[:, columns])
    return torch.cat(terms, dim=1)
