"""Multiplicative continuum: Chebyshev polynomials per detector, solved for in closed form."""

from typing import Annotated

import torch
from jaxtyping import Float, Float64, Shaped
from pydantic import Field
from torch import Tensor

from synth2obs.core.config import Section
from synth2obs.core.shapes import shaped

SAME = 1e-6
"""Largest difference between polynomials that are the same."""


class ContinuumConfig(Section):
    """The continuum inside a fit."""

    order: int = Field(default=14, ge=0, le=40, description="degree of the polynomial on each detector")
    orders: dict[str, Annotated[int, Field(ge=0, le=40)]] = Field(
        default={}, description="of single surveys by name: narrow detectors want less"
    )

    def of(self, survey: str) -> "ContinuumConfig":
        """That of one survey."""
        return ContinuumConfig(order=self.orders.get(survey, self.order))


def _scaled(wavelength: Tensor) -> Tensor:
    """Wavelengths of one segment, mapped to [−1, 1] along the last axis."""
    low, high = wavelength.amin(-1, keepdim=True), wavelength.amax(-1, keepdim=True)
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return (2.0 * wavelength - low - high) / span


def _polynomials(x: Tensor, order: int) -> Tensor:
    """Chebyshev polynomials T_0 … T_order of x, stacked on a new last axis."""
    terms = [torch.ones_like(x), x]
    for _ in range(order - 1):
        terms.append(2.0 * x * terms[-1] - terms[-2])
    return torch.stack(terms[: order + 1], dim=-1)


@shaped
def chebyshev_basis(
    wavelength: Float[Tensor, "*any pixels"], segment: Shaped[Tensor, " pixels"], order: int
) -> Float[Tensor, "*any pixels terms"]:
    """Polynomials that are zero outside their own segment; a continuum is ``basis @ coefficients``.

    Args:
        wavelength: Native pixels in Å, shape (P,) or (B, P).
        segment: Detector of each pixel, shape (P,).
        order: Degree of the polynomial on every segment.

    Returns:
        Shape (..., P, C) in the dtype of ``wavelength``, with C = segments × (order + 1), the
        segments in increasing order of their number.

    Raises:
        ValueError: If the order is negative or a wavelength is not finite.
    """
    if order < 0:
        raise ValueError(f"order must be >= 0, got {order}; use 0 for one factor per segment")
    if not bool(torch.isfinite(wavelength).all()):
        raise ValueError("wavelength in Å must be finite; drop the pixels without a wavelength")
    numbers = sorted(set(segment.tolist()))
    basis = wavelength.new_zeros(*wavelength.shape, len(numbers), order + 1)
    for block, number in enumerate(numbers):
        pixels = segment == number
        basis[..., pixels, block, :] = _polynomials(_scaled(wavelength[..., pixels]), order)
    return basis.flatten(-2)


@shaped
def common_basis(basis: Float[Tensor, "*any pixels terms"]) -> Float[Tensor, "... pixels terms"]:
    """That of the first star, (P, C), where those of all stars (B, P, C) are the same; else as it is.

    So they are where every star has pixels of its own that are uniform in Å: a polynomial counts from end to end.
    """
    if basis.dim() == 3 and bool(((basis - basis[:1]).abs() <= SAME).all()):
        return basis[0]
    return basis


@shaped
def profile_continuum(
    model: Float[Tensor, "stars pixels"],
    flux: Float[Tensor, "stars pixels"],
    ivar: Float[Tensor, "stars pixels"],
    basis: Float[Tensor, "... pixels terms"],
    ridge: float = 1e-10,
) -> tuple[Float64[Tensor, "stars terms"], Float[Tensor, "stars pixels"]]:
    """The continuum that fits best, given the spectrum under it.

    Minimises Σ ivar (flux − model · basis @ a)² + ridge · Σ D a², with D the diagonal of the normal
    matrix, so that the result does not depend on the unit of the flux. Cholesky in float64. A pixel
    with ivar = 0 takes no part, whatever its flux (NaN included), in the value and in the gradient.

    Args:
        model: Spectrum without continuum, shape (B, P).
        flux: Observed flux, shape (B, P).
        ivar: Its inverse variance, shape (B, P), 0 where masked.
        basis: Shape (P, C) or (B, P, C), see `chebyshev_basis`.
        ridge: Relative strength of the pull to zero; keeps masked segments solvable.

    Returns:
        Coefficients (B, C) in float64, and the continuum (B, P) in the dtype of ``model``. A segment
        without a good pixel has coefficients 0.

    Raises:
        ValueError: If ``ridge`` is not positive.
    """
    if not ridge > 0:
        raise ValueError(f"ridge must be > 0 (relative, no unit), got {ridge}; 1e-10 is a small one")
    good = ivar > 0
    weight = torch.where(good, ivar, 0.0).double()
    target = torch.where(good, flux, 0.0).double()
    block = basis.double()
    design = torch.where(good, model, 0.0).double()[..., None] * block
    weighted = weight[..., None] * design
    normal = weighted.mT @ design
    right = weighted.mT @ target[..., None]
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
    scaled = scale[..., None] * normal * scale[..., None, :]
    eye = torch.eye(normal.shape[-1], dtype=normal.dtype, device=normal.device)
    alone = torch.diag_embed((diagonal <= 0).to(normal))
    factor = torch.linalg.cholesky(scaled + ridge * eye + alone)
    coefficients = scale * torch.cholesky_solve(scale[..., None] * right, factor)[..., 0]
    continuum = (block @ coefficients[..., None])[..., 0]
    return coefficients, continuum.to(model.dtype)


def random_continuum(count: int, pixels: int, width: float, random: torch.Generator) -> Tensor:
    """Smooth continua, shape (count, pixels): tilt and bend of their logarithm over the range are N(0, ``width``²)."""
    x = torch.linspace(-1.0, 1.0, pixels)
    tilt, bend = width * torch.randn(2, count, 1, generator=random)
    return torch.exp(tilt * x + bend * x.square())
