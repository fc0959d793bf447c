"""The trunk of the decoder: functions of wavelength that all stars share."""

import torch
from torch import Tensor, nn


class Trunk(nn.Module):
    r"""Basis functions B(λ) held on grids of several spacings in ln λ.

    .. math:: B(\lambda) = F(\ln\lambda) + W_2 \tanh(W_1 c(\ln\lambda) + b_1)

    F is a table at the rest grid's own spacing; c are tables at coarser spacings, joined. The second term
    starts at zero, so that a trunk started from singular vectors is exactly those vectors.

    Args:
        samples: Length L of the rest grid.
        rank: Number of basis functions K.
        strides: Spacings of the coarse tables, in rest samples.
        width: Channels of each coarse table, and hidden units per coarse table.
    """

    def __init__(self, samples: int, rank: int, strides: tuple[int, ...] = (16, 128), width: int = 8) -> None:
        super().__init__()
        self.samples, self.strides = samples, strides
        self.fine = nn.Parameter(torch.zeros(samples, rank))
        self.coarse = nn.ParameterList(
            nn.Parameter(0.1 * torch.randn(_nodes(samples, stride), width)) for stride in strides
        )
        joined = width * len(strides)
        self.mix = nn.Sequential(nn.Linear(joined, 4 * joined), nn.Tanh(), nn.Linear(4 * joined, rank))
        last = self.mix[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, position: Tensor) -> Tensor:
        """Basis at any wavelength inside the grid.

        Args:
            position: Place on the rest grid in samples, i.e. ln(λ/λ_0) / step, shape (N,).

        Returns:
            Shape (N, K). Four-point Lagrange interpolation of the fine table.
        """
        return _cubic(self.fine, position) + self._smooth(position)

    def table(self) -> Tensor:
        """The basis on the rest grid itself, shape (L, K); equal to ``forward`` there."""
        return self.fine + self._smooth(torch.arange(self.samples, device=self.fine.device))

    def _smooth(self, position: Tensor) -> Tensor:
        parts = [
            _linear(table, position / stride) for table, stride in zip(self.coarse, self.strides, strict=True)
        ]
        return self.mix(torch.cat(parts, dim=-1))


def _nodes(samples: int, stride: int) -> int:
    return (samples - 1) // stride + 2


def _linear(table: Tensor, position: Tensor) -> Tensor:
    first = position.floor().long().clamp(0, len(table) - 2)
    share = (position - first).to(table.dtype)[:, None]
    return torch.lerp(table[first], table[first + 1], share)


def _cubic(table: Tensor, position: Tensor) -> Tensor:
    first = position.floor().long().clamp(1, len(table) - 3)
    x = (position - first).to(table.dtype)[:, None]
    weights = (
        -x * (x - 1) * (x - 2) / 6,
        (x + 1) * (x - 1) * (x - 2) / 2,
        -(x + 1) * x * (x - 2) / 2,
        (x + 1) * x * (x - 1) / 6,
    )
    return sum((w * table[first + k - 1] for k, w in enumerate(weights)), torch.zeros_like(x))
