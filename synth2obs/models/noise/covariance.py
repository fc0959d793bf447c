r"""Covariance of a spectrum's residuals: white noise, and a smooth part that neighbouring pixels share.

.. math:: C = \mathrm{diag}(1/w) + S K S , \qquad K_{ij} = e^{-|x_i - x_j| / \ell} , \qquad x = \ln\lambda .

An exponential correlation makes :math:`K^{-1}` tridiagonal, so that with Woodbury's identity

.. math:: C^{-1} = w - w S Q^{-1} S w , \qquad Q = K^{-1} + S^2 w ,

costs a few operations a pixel (Rybicki & Press 1995, Phys. Rev. Lett. 74, 1060; Foreman-Mackey et al. 2017, AJ 154,
220).
A pixel with w = 0 is a no-op.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.linalg.lapack import dpttrf, dpttrs, spttrs
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Noise:
    """Covariance of B spectra of P pixels.

    Args:
        white: Inverse variance of what is independent from pixel to pixel, shape (B, P); 0 where masked.
        wide: σ of the smooth part S in units of the flux, shape (B, P); None where there is none.
        joined: Correlation of the smooth part in neighbouring pixels, shape (P - 1,) or (B, P - 1); 0 across detectors.
        single: Inverse variance of single pixels, shape (B, P), where ``white`` stands for several that err together.
    """

    white: Tensor
    wide: Tensor | None = None
    joined: Tensor | None = None
    single: Tensor | None = None

    @property
    def of_pixels(self) -> Tensor:
        """Inverse variance with which χ² of single pixels is counted, shape (B, P)."""
        return self.marginal if self.single is None else self.single

    @property
    def marginal(self) -> Tensor:
        """Inverse variance of every pixel, all parts together, shape (B, P)."""
        if self.wide is None:
            return self.white
        return self.white / (1.0 + self.white * self.wide.square())

    def take(self, rows: Tensor) -> "Noise":
        """That of some of the stars."""
        joined = self.joined
        own = joined[rows] if joined is not None and joined.dim() == 2 else joined
        wide, single = (part if part is None else part[rows] for part in (self.wide, self.single))
        return Noise(self.white[rows], wide, own, single)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Noise":
        """The same with both arrays of shape (B, P) changed; neighbours stay as correlated as they are."""
        wide = None if self.wide is None else change(self.wide)
        return Noise(change(self.white), wide, self.joined)

    def solve(self, values: Tensor) -> Tensor:
        """C⁻¹ times values (B, P) or (B, Q, P), in their precision; single precision loses three digits of it."""
        if values.dim() == 2:
            return self.solve(values[:, None])[:, 0]
        found = values * self.white.to(values.dtype)[:, None]
        if self.wide is None:
            return found
        outer = (self.white * self.wide).to(values.dtype)[:, None]
        return found.addcmul_(outer, self._smoothed(values * outer), value=-1.0)

    def _smoothed(self, values: Tensor) -> Tensor:
        """Q⁻¹ times values (B, Q, P), in their place."""
        single = values.dtype == torch.float32
        solver, rows = (spttrs if single else dpttrs), values.contiguous().numpy()
        diagonal, beside = (part.astype(rows.dtype, copy=False) for part in self._factor)
        for star, columns in enumerate(rows):
            _, failed = solver(diagonal[star], beside[star], columns.T, overwrite_b=True)
            assert failed == 0
        return torch.from_numpy(rows)

    @cached_property
    def _factor(self) -> tuple[np.ndarray, np.ndarray]:
        """Of Q, shapes (B, P) and (B, P - 1); all stars are one system in a row."""
        diagonal, beside = self._precision
        assert self.wide is not None
        total = diagonal + self.white.double() * self.wide.double().square()
        count, pixels = total.shape
        whole = pad(beside.expand(count, -1), (0, 1)).flatten()[:-1]
        *factor, failed = dpttrf(total.flatten().numpy(), whole.numpy())
        assert failed == 0
        return factor[0].reshape(count, pixels), np.append(factor[1], 0.0).reshape(count, pixels)[:, :-1]

    @property
    def _precision(self) -> tuple[Tensor, Tensor]:
        """Diagonal (P,) or (B, P) of K⁻¹, and what stands beside it."""
        assert self.joined is not None
        rho = self.joined.double()
        left = 1.0 - rho.square()
        share = rho.square() / left
        return 1.0 + pad(share, (1, 0)) + pad(share, (0, 1)), -rho / left


def joined_pixels(log_wave: Tensor, segment: Tensor, length: float) -> Tensor:
    """Correlation of the smooth part in neighbouring pixels.

    Args:
        log_wave: ln λ, shape (P,) or (B, P).
        segment: Detector of each pixel, shape (P,).
        length: ℓ in ln λ.

    Returns:
        Shape (P - 1,) or (B, P - 1); 0 where detectors meet.
    """
    rho = torch.exp(-log_wave.double().diff(dim=-1).abs() / max(length, 1e-30)).clamp(max=1.0 - 1e-9)
    return rho * (segment.diff() == 0)
