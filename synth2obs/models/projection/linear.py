r"""What takes coefficients to native pixels: linear in the coefficients, for every star at its own velocity.

Two forms of the same map. `Projected` holds every star's own functions in native pixels, at one velocity and its
first derivative: exact sums over pixels, memory for every star. `Through` holds the rest-frame functions once for
all stars and sends spectra through the instrument, there and back; sums over pixels that only steer a step
are taken over short stretches of the spectrum, within which the continuum hardly changes and weights follow the mean
spectrum.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from synth2obs.models.noise.covariance import Noise

FEW = 16
"""Stars worked on at a time where a matrix has a row per pixel, so that it stays within the caches."""


class Products(NamedTuple):
    """Sums over pixels as if these were independent, W the inverse variance of each."""

    normal: Tensor  # (B, M, M), AᵀWc²A
    velocity: Tensor  # (B, M), AᵀWc² times the derivative by the scaled velocity
    continuum: Tensor  # (B, M, C), AᵀWc (s ∘ Φ)


class Expansion(NamedTuple):
    """Where sums over pixels are wanted."""

    coefficients: Tensor  # g, (B, M)
    rv: Tensor  # (B,) km/s
    spectrum: Tensor  # s = A g, (B, P)
    by_rv: Tensor  # its derivative by the scaled velocity, (B, P)
    noise: Noise  # C, of B stars
    continuum: Tensor  # c, (B, P)
    continuum_basis: Tensor  # Φ, (P, C) or (B, P, C)
    unit: float = 1.0  # of the scaled velocity, km/s

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Expansion":
        """The same with every array of shape (B, P) changed."""
        spectrum, by_rv, continuum = map(change, (self.spectrum, self.by_rv, self.continuum))
        noise = self.noise.mapped(change)
        return self._replace(spectrum=spectrum, by_rv=by_rv, noise=noise, continuum=continuum)


class Linear(Protocol):
    """A map A(v) from coefficients (B, M) to native pixels (B, P)."""

    def spectrum(self, coefficients: Tensor, rv: Tensor) -> tuple[Tensor, Tensor]:
        """A(v) g and its derivative by v per km/s, both (B, P)."""
        ...

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """A(v)ᵀ times ``values`` (B, P), shape (B, M)."""
        ...

    def normal(self, at: Expansion) -> Tensor:
        """Shape (B, M, M): what steers a step where coefficients are not linear in θ; near enough."""
        ...

    def products(self, at: Expansion) -> Products:
        """Sums that tell how well other coefficients would do."""
        ...

    def gram(self, at: Expansion, jacobian: Tensor) -> Tensor:
        """Products under C⁻¹ of the columns c A ∂g/∂θ, c ∂s/∂v and s ∘ Φ, which say how sure a fit is.

        Args:
            at: Where.
            jacobian: ∂g/∂θ, shape (B, M, Q).

        Returns:
            Shape (B, Q + 1 + C, Q + 1 + C), float64.
        """
        ...

    def take(self, rows: Tensor) -> "Linear":
        """The map of some of the stars."""
        ...


def few_stars(at: Expansion) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a few stars at a time, and their continuum functions, (P, C) or (b, P, C)."""
    for start in range(0, max(len(at.rv), 1), FEW):
        rows = slice(start, start + FEW)
        yield rows, at.continuum_basis[rows] if at.continuum_basis.dim() == 3 else at.continuum_basis


def rows_of(at: Expansion, rows: slice) -> Expansion:
    """Some of the stars; the continuum functions stay."""
    places = torch.arange(len(at.rv))[rows]
    own = {name: getattr(at, name)[rows] for name in ("coefficients", "rv", "spectrum", "by_rv", "continuum")}
    return at._replace(**own, noise=at.noise.take(places))


def functions_at(basis: Tensor, places: Tensor) -> Tensor:
    """Continuum functions (P, C) or (B, P, C) at pixels (B, K), shape (B, K, C)."""
    if basis.dim() == 2:
        return basis[places]
    return basis.gather(1, places[..., None].expand(-1, -1, basis.shape[2]))


def gram_of(theta: Tensor, at: Expansion, continuum: Tensor) -> Tensor:
    """Products of θ's rows (B, Q, P), the velocity's and the continuum's (C, P) or (B, C, P), float64."""
    inner, outer = at.continuum[:, None], at.spectrum[:, None]
    rows = torch.cat([theta * inner, at.by_rv[:, None] * inner, continuum * outer], dim=1).float()
    if at.noise.wide is None:
        rows = at.noise.white.float().sqrt()[:, None] * rows
        return (rows @ rows.mT).double()
    return (rows @ at.noise.solve(rows).mT).double()
