"""Where the next spectra of a grid help most: where an emulator is least certain, given those already chosen."""

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from synth2obs.core.shapes import shaped

EXHAUSTED = 1e-12
"""Share of the largest variance below which nothing is left to learn."""


@shaped
def least_certain(
    covariance: Float64[Tensor, "rows rows"], noise: float, count: int
) -> Int64[Tensor, " chosen"]:
    """Rows of a Gaussian process's candidates, each the least certain once those before it are known.

    The variances that are left after a choice are those of a pivoted Cholesky factorisation (Harbrecht, Peters &
    Schneider 2012, Appl. Numer. Math. 62, 428); no spectrum has to be computed for it.

    Args:
        covariance: Of the candidates, given the spectra that there are.
        noise: Variance that a spectrum leaves at its own labels.
        count: How many to choose; fewer come back where nothing is left to learn.
    """
    left, columns = covariance.diagonal().clone(), covariance.new_zeros(len(covariance), count)
    chosen: list[int] = []
    limit = EXHAUSTED * float(left.max())
    for number in range(min(count, len(covariance))):
        row = int(left.argmax())
        if float(left[row]) <= limit:
            break
        known = columns[:, :number] @ columns[row, :number]
        columns[:, number] = (covariance[:, row] - known) / (left[row] + noise).sqrt()
        left = left - columns[:, number].square()
        left[row] = -torch.inf
        chosen.append(row)
    return torch.tensor(chosen, dtype=torch.int64)
