"""Matrices that rounding may have left indefinite: their Cholesky factors, and the nearest that is not."""

import torch
from torch import Tensor

TRIES = 8
"""Ridges tried, each ten times the last."""


def cholesky_factor(matrix: Tensor) -> Tensor:
    """Cholesky factors, with as small a ridge as single precision of the sums in a matrix allows."""
    diagonal = matrix.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(diagonal > 0, diagonal, 1.0)
    ridge = torch.full_like(scale[:, :1], 1e-10)
    for _ in range(TRIES):
        factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag_embed(ridge * scale))
        if not bool(failed.any()):
            break
        ridge = torch.where(failed[:, None] > 0, ridge * 10.0, ridge)
    return factor


def positive(matrix: Tensor) -> Tensor:
    """The nearest symmetric matrix (..., Q, Q) without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.mT))
    return vectors @ (values.clamp(min=0.0)[..., None] * vectors.mT)
