"""A banded matrix that all stars share, as dense blocks: the fastest way to many weighted sums of neighbours."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.shapes import shaped

ROWS = 32
"""Rows per block: fewer repeat more of each window, more hold more zeros."""


class BandLayout(NamedTuple):
    """Where the rows of a banded matrix stand in dense blocks of ROWS rows, each reading one window of columns.

    Args:
        starts: First column of each block's window, shape (K,).
        window: Columns per window.
        place: Flat index of each weight in the blocks, shape (R, T).
        columns: Columns read altogether: 0 to ``columns`` − 1.
    """

    starts: Tensor
    window: int
    place: Tensor
    columns: int


@shaped
def layout(first: Int[Tensor, " pixels"], length: int) -> BandLayout:
    """Blocks for rows that start at columns ``first`` (R,) ≥ 0 and are ``length`` columns long."""
    count = -(-len(first) // ROWS)
    padded = pad(first[None].double(), (0, count * ROWS - len(first)), mode="replicate")[0].long()
    groups = padded.view(count, ROWS)
    starts = groups.amin(1)
    window = int((groups.amax(1) - starts).max()) + length
    row = torch.arange(len(first))
    column = (first - starts[row // ROWS])[:, None] + torch.arange(length)
    place = ((row // ROWS)[:, None] * window + column) * ROWS + (row % ROWS)[:, None]
    return BandLayout(starts, window, place, int(starts.max()) + window)


@shaped
def blocks(weights: Float[Tensor, "pixels steps"], where: BandLayout) -> Float[Tensor, "blocks window lanes"]:
    """Dense blocks of weights (R, T), shape (K, window, ROWS); differentiable."""
    flat = weights.new_zeros(len(where.starts) * where.window * ROWS)
    return flat.scatter(0, where.place.flatten(), weights.flatten()).view(-1, where.window, ROWS)


@shaped
def apply(
    matrix: Float[Tensor, "blocks window lanes"],
    where: BandLayout,
    values: Float[Tensor, "stars averaged"],
    offset: Int[Tensor, " stars"],
) -> Float[Tensor, "stars pixels"]:
    """The banded matrix times every row of ``values``.

    Args:
        matrix: From `blocks`.
        where: Their layout.
        values: Shape (B, ≥ offset + where.columns).
        offset: Column of each row of ``values`` that counts as the first, int64, shape (B,).

    Returns:
        Shape (B, R).
    """
    windows: Tensor = _Windows.apply(values, offset[:, None] + where.starts, where.window)
    product = torch.bmm(windows.transpose(0, 1), matrix).transpose(0, 1)
    return product.flatten(1)[:, : len(where.place)]


@shaped
def apply_transpose(
    matrix: Float[Tensor, "blocks window lanes"], where: BandLayout, values: Float[Tensor, "stars pixels"]
) -> Float[Tensor, "stars averaged"]:
    """The transposed matrix times every row of ``values`` (B, R), shape (B, where.columns)."""
    rows = pad(values, (0, len(where.starts) * ROWS - values.shape[1]))
    blocked = torch.bmm(matrix, rows.view(len(rows), len(where.starts), ROWS).permute(1, 2, 0))
    total = values.new_zeros(where.columns, len(rows))
    places = where.starts[:, None] + torch.arange(where.window, device=values.device)
    return total.index_add_(0, places.flatten(), blocked.flatten(0, 1)).T


class _Windows(torch.autograd.Function):
    """Windows of values (B, M) that start at starts (B, K), shape (B, K, window): contiguous copies."""

    @staticmethod
    def forward(values: Tensor, starts: Tensor, window: int) -> Tensor:
        rows = torch.arange(len(values), device=values.device)[:, None]
        return values.unfold(1, window, 1)[rows, starts]

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        values, ctx.starts, ctx.window = inputs
        ctx.columns = values.shape[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Overlap.apply(gradient, ctx.starts, ctx.columns), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        return _Windows.apply(tangent, ctx.starts, ctx.window)


class _Overlap(torch.autograd.Function):
    """The transpose of `_Windows`: windows (B, K, window) added up where they belong, shape (B, columns)."""

    @staticmethod
    def forward(windows: Tensor, starts: Tensor, columns: int) -> Tensor:
        places = starts[..., None] + torch.arange(windows.shape[2], device=windows.device)
        return windows.new_zeros(len(windows), columns).scatter_add_(1, places.flatten(1), windows.flatten(1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        windows, ctx.starts, ctx.columns = inputs
        ctx.window = windows.shape[2]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Windows.apply(gradient, ctx.starts, ctx.window), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: Any) -> Tensor:
        return _Overlap.apply(tangent, ctx.starts, ctx.columns)
