r"""What takes coefficients to native pixels: linear in the coefficients, for every star at its own velocity.

Two forms of the same map. `Projected` holds every star's own functions in native pixels, at one velocity and its
first derivative: exact sums over pixels, memory for every star. `Through` holds the rest-frame functions once for
all stars and sends spectra through the instrument, there and back; sums over pixels that only steer a step
are taken over short stretches of the spectrum within which weights and continuum hardly change.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.constants import C_KMS
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.instrument import Instrument

FEW = 8
"""Stars worked on at a time where a matrix has a row per pixel, so that it stays within the caches."""

STRETCHES = 256
"""Stretches of the spectrum in which `Through` takes weights and continuum as constant where they steer a step."""


class Products(NamedTuple):
    """Sums over pixels that steer a Gauss–Newton step."""

    normal: Tensor  # (B, M, M), AᵀWc²A
    continuum: Tensor  # (B, M, C), AᵀWc (s ∘ Φ)


class Place(NamedTuple):
    """Where sums over pixels are wanted."""

    coefficients: Tensor  # g, (B, M)
    rv: Tensor  # (B,) km/s
    spectrum: Tensor  # s = A g, (B, P)
    by_rv: Tensor  # its derivative by the scaled velocity, (B, P)
    ivar: Tensor  # W, (B, P)
    level: Tensor  # c, the continuum, (B, P)
    continuum: Tensor  # Φ, (P, C) or (B, P, C)


class Linear(Protocol):
    """A map A(v) from coefficients (B, M) to native pixels (B, P)."""

    def spectrum(self, coefficients: Tensor, rv: Tensor) -> tuple[Tensor, Tensor]:
        """A(v) g and its derivative by v per km/s, both (B, P)."""
        ...

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """A(v)ᵀ times ``values`` (B, P), shape (B, M)."""
        ...

    def products(self, at: Place) -> Products:
        """Sums over pixels that steer a step."""
        ...

    def gram(self, at: Place, jacobian: Tensor) -> Tensor:
        """Products under W of the columns c A ∂g/∂θ, c ∂s/∂v and s ∘ Φ, which say how sure a fit is.

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


@dataclass(frozen=True)
class Projected:
    """Functions of each star in its own native pixels.

    Args:
        functions: A of each star at its velocity, shape (B, P, M), float32; ``rv`` counts from there.
        log_wave: ln λ of the pixels, shape (B, P) or (P,).
        inner: Whether both neighbours of a pixel exist, on its detector and within the grid, shape (B, P) or
            (P,); the velocity's derivative is 0 elsewhere. None: all but the first and the last pixel.
    """

    functions: Tensor
    log_wave: Tensor
    inner: Tensor | None = None

    def _spacing(self) -> Tensor:
        """−1 / (c Δln λ) over both neighbours, 0 where one of them is missing, shape (B, P)."""
        x = self.log_wave.expand(self.functions.shape[:2])
        inverse = pad(-1.0 / (C_KMS * (x[:, 2:] - x[:, :-2])), (1, 1)).float()
        return inverse if self.inner is None else inverse.where(self.inner, 0.0)

    def take(self, rows: Tensor) -> "Projected":
        """See `Linear`."""
        log_wave, inner = (x if x is None or x.dim() == 1 else x[rows] for x in (self.log_wave, self.inner))
        return Projected(self.functions[rows], self.log_wave if log_wave is None else log_wave, inner)

    def spectrum(self, coefficients: Tensor, rv: Tensor) -> tuple[Tensor, Tensor]:
        """See `Linear`; the shift is linear in ``rv``."""
        still = torch.einsum("bpm,bm->bp", self.functions, coefficients.float())
        by_rv = _differences(still, self._spacing())
        return still + by_rv * rv.float()[:, None], by_rv

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """See `Linear`."""
        spread = self._spacing() * rv.float()[:, None] * values
        total = values.clone()
        total[:, 2:] += spread[:, 1:-1]
        total[:, :-2] -= spread[:, 1:-1]
        return torch.einsum("bpm,bp->bm", self.functions, total)

    def products(self, at: Place) -> Products:
        """See `Linear`; exact."""
        shift = (self._spacing() * at.rv.float()[:, None])[..., None]
        factor = at.ivar * at.level
        normal, cross = [], []
        for rows, own in _few(at):
            functions = self.functions[rows]
            moved = functions + _differences(functions, shift[rows])
            normal.append(moved.mT @ (moved * (factor * at.level)[rows, :, None]))
            cross.append(moved.mT @ (own * (factor * at.spectrum)[rows, :, None]))
        return Products(torch.cat(normal), torch.cat(cross))

    def gram(self, at: Place, jacobian: Tensor) -> Tensor:
        """See `Linear`; exact."""
        shift = (self._spacing() * at.rv.float()[:, None])[..., None]
        parts = []
        for rows, own in _few(at):
            theta = self.functions[rows] @ jacobian[rows].float()
            theta = theta + _differences(theta, shift[rows])
            parts.append(_gram(theta, _rows(at, rows), own))
        return torch.cat(parts)


def _few(at: Place) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a few stars at a time, and their continuum functions, (P, C) or (b, P, C)."""
    for start in range(0, max(len(at.rv), 1), FEW):
        rows = slice(start, start + FEW)
        yield rows, at.continuum[rows] if at.continuum.dim() == 3 else at.continuum


def _rows(at: Place, rows: slice) -> Place:
    """Some of the stars; the continuum functions stay."""
    return Place._make([*(part[rows] for part in at[:-1]), at.continuum])


def _gram(theta: Tensor, at: Place, continuum: Tensor) -> Tensor:
    """Products of the columns of θ (B, P, Q), the velocity's and the continuum's (P, C) or (B, P, C), float64."""
    weight = at.ivar.sqrt()
    inner, outer = (weight * at.level)[..., None], (weight * at.spectrum)[..., None]
    columns = torch.cat([theta * inner, at.by_rv[..., None] * inner, continuum * outer], dim=-1).float()
    return (columns.mT @ columns).double()


def _differences(values: Tensor, spacing: Tensor) -> Tensor:
    """Central differences along the pixels times ``spacing``, of values (B, P) or (B, P, K)."""
    slope = torch.zeros_like(values)
    slope[:, 1:-1] = values[:, 2:] - values[:, :-2]
    return slope * spacing


class Stretches(NamedTuple):
    """Short stretches of one detector, at rest.

    Args:
        pixels: The detector's slice of the native pixels.
        log_wave: ln λ of its pixels, shape (P',).
        edges: Limits of the stretches in ln λ, the outermost left out, shape (K − 1,).
        normal: AᵀA per pixel of each stretch, shape (K, M, M).
    """

    pixels: slice
    log_wave: Tensor
    edges: Tensor
    normal: Tensor


class Functions(NamedTuple):
    """Functions on the rest grid that all stars share.

    Args:
        sharp: Those that the line spread acts on, shape (L, S).
        seen: Those that are at the survey's resolution already, shape (L, F).
        bands: Stretches of the rest grid without a hole.
    """

    sharp: Tensor
    seen: Tensor
    bands: list[slice]


class Through:
    """Rest-frame functions that all stars share, seen through an instrument with shared pixels.

    Args:
        instrument: The survey's operator.
        functions: What it acts on.
        width: Factor on the survey's σ.
        segment: Detector of each pixel, shape (P,); wavelengths increase on every detector.
    """

    def __init__(self, instrument: Instrument, functions: Functions, width: float, segment: Tensor) -> None:
        coarser = instrument.coarser(width)
        self.instrument, self.width = coarser.instrument, width
        self.sharp = coarser.sharp(functions.sharp.float(), functions.bands).contiguous()
        self.seen = coarser.seen(functions.seen.float(), functions.bands).contiguous()
        self.has_seen = bool(self.seen.any())
        self.stars: Tensor | None = None
        self.origin = torch.zeros(1, dtype=torch.float64)
        self.still = AtRest(self.instrument, [(self.sharp, width), (self.seen, 0.0)], segment)

    def of(self, stars: Tensor | None, rv: Tensor) -> "Through":
        """The same map for stars (rows of the instrument) whose velocities the solver counts from ``rv`` in km/s."""
        own = copy(self)
        own.stars, own.origin = stars, rv
        return own

    def take(self, rows: Tensor) -> "Through":
        """See `Linear`."""
        return self.of(None if self.stars is None else self.stars[rows], self.origin[rows])

    def spectrum(self, coefficients: Tensor, rv: Tensor) -> tuple[Tensor, Tensor]:
        """See `Linear`; exact at every velocity."""
        sharp, seen = coefficients.float().split([self.sharp.shape[1], self.seen.shape[1]], dim=1)
        velocity = self.origin + rv
        flux, slope = self.instrument.linearised(sharp @ self.sharp.T, velocity, self.width, self.stars)
        if not self.has_seen:
            return flux, slope
        more, steeper = self.instrument.linearised(seen @ self.seen.T, velocity, 0.0, self.stars)
        return flux + more, slope + steeper

    def native(self, coefficients: Tensor, rv: Tensor) -> Tensor:
        """The spectrum alone, shape (B, P)."""
        sharp, seen = coefficients.float().split([self.sharp.shape[1], self.seen.shape[1]], dim=1)
        velocity = self.origin + rv
        flux = self.instrument(sharp @ self.sharp.T, velocity, self.width, self.stars)
        return (
            flux + self.instrument(seen @ self.seen.T, velocity, 0.0, self.stars) if self.has_seen else flux
        )

    def valid(self, rv: Tensor) -> Tensor:
        """Pixels that the rest grid covers at these velocities, shape (B, P)."""
        return self.instrument.valid(self.origin + rv, self.width, self.stars)

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """See `Linear`."""
        velocity = self.origin + rv
        sharp = self.instrument.adjoint(values, velocity, self.width, self.stars) @ self.sharp
        if not self.has_seen:
            return pad(sharp, (0, self.seen.shape[1]))
        seen = self.instrument.adjoint(values, velocity, 0.0, self.stars) @ self.seen
        return torch.cat([sharp, seen], dim=1)

    def products(self, at: Place) -> Products:
        """See `Linear`; weights, factor and continuum constant over each stretch."""
        shift = log_doppler(self.origin + at.rv)
        coefficients = at.coefficients.float()
        parts = [_stretch_products(part, at, coefficients, shift) for part in self.still.stretches]
        return Products(*(torch.stack(sums).sum(0) for sums in zip(*parts, strict=True)))

    def gram(self, at: Place, jacobian: Tensor) -> Tensor:
        """See `Linear`; the functions at rest, and all else where it then falls, interpolated between pixels."""
        shift = log_doppler(self.origin + at.rv)
        parts = []
        for rows, own in _few(at):
            lower, share = self._between(shift[rows])
            some = _rows(at, rows)
            moved = [_interpolated(part, lower, share) for part in some[2:6]]
            theta = self.still.pixels @ jacobian[rows].float()
            basis = own.expand(len(lower), -1, -1)
            functions = torch.stack([_interpolated(part, lower, share) for part in basis.unbind(2)], dim=2)
            parts.append(_gram(theta, Place._make([*some[:2], *moved, functions]), functions))
        return torch.cat(parts)

    def _between(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The pixel before the place of each rest pixel at a shift in ln λ, and the share of the next one."""
        lower, share = [], []
        for part in self.still.stretches:
            place = part.log_wave + shift[:, None]
            before = (torch.searchsorted(part.log_wave, place) - 1).clamp(0, len(part.log_wave) - 2)
            start = part.log_wave[before]
            portion = (place - start) / (part.log_wave[before + 1] - start)
            lower.append(before + part.pixels.start)
            share.append(portion.clamp(0.0, 1.0).float())
        return torch.cat(lower, dim=1), torch.cat(share, dim=1)


class AtRest:
    """Functions in native pixels at zero velocity, and sums of their products; made when first asked for.

    Args:
        instrument: The survey's operator.
        functions: Rest-frame functions (L', S) and the factor on the survey's σ that each kind needs.
        segment: Detector of each pixel, shape (P,).
    """

    def __init__(
        self, instrument: Instrument, functions: Sequence[tuple[Tensor, float]], segment: Tensor
    ) -> None:
        self.instrument, self.functions = instrument, functions
        self.log_wave, self.detectors = instrument.log_wave, _detectors(segment)

    @cached_property
    def pixels(self) -> Tensor:
        """All functions, shape (P, M); the first star's line spread."""
        parts = []
        for functions, width in self.functions:
            still = torch.zeros(functions.shape[1], dtype=torch.float64)
            parts.append(self.instrument(functions.T.contiguous(), still, width, still.long()).T)
        return torch.cat(parts, dim=1)

    @cached_property
    def stretches(self) -> list[Stretches]:
        """Sums over short stretches."""
        size = max(1, len(self.log_wave) // STRETCHES)
        return [_stretches(run, self.log_wave, self.pixels[run], size) for run in self.detectors]


def _detectors(segment: Tensor) -> list[slice]:
    """Slices of pixels in a row that belong to one detector."""
    breaks = (segment.diff() != 0).nonzero()[:, 0] + 1
    limits = [0, *breaks.tolist(), len(segment)]
    return [slice(first, last) for first, last in pairwise(limits)]


def _stretches(pixels: slice, log_wave: Tensor, functions: Tensor, size: int) -> Stretches:
    own = log_wave[pixels].contiguous()
    parts = functions.split(size)
    edges = [0.5 * (own[n * size - 1] + own[n * size]) for n in range(1, len(parts))]
    normal = torch.stack([part.T @ part / len(part) for part in parts])
    return Stretches(pixels, own, torch.stack(edges) if edges else own[:0], normal)


def _stretch_products(part: Stretches, at: Place, coefficients: Tensor, shift: Tensor) -> Products:
    """The sums of one detector."""
    limits = torch.searchsorted(part.log_wave, part.edges + shift[:, None])
    limits = pad(pad(limits, (1, 0)), (0, 1), value=len(part.log_wave))
    inner = at.ivar * at.level
    weight, factor = (_sums(values[:, part.pixels], limits) for values in (inner * at.level, inner))
    basis = at.continuum[..., part.pixels, :].mT
    count = limits.diff(dim=1).clamp(min=1)[:, None]
    functions = _sums(basis, limits[:, None]) / count
    spectrum = torch.einsum("kmn,bn->bkm", part.normal, coefficients)
    normal = (weight @ part.normal.flatten(1)).unflatten(1, part.normal.shape[1:])
    return Products(normal, torch.einsum("bkm,bk,bck->bmc", spectrum, factor, functions))


def _interpolated(values: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Values (B, P) between pixels."""
    return torch.lerp(values.gather(1, lower), values.gather(1, lower + 1), share.to(values.dtype))


def _sums(values: Tensor, limits: Tensor) -> Tensor:
    """Sums of values (..., P) between successive limits (..., K + 1), shape (..., K), float32."""
    total = pad(values.double().cumsum(-1), (1, 0))
    lead = torch.broadcast_shapes(total.shape[:-1], limits.shape[:-1])
    return total.expand(*lead, -1).gather(-1, limits.expand(*lead, -1)).diff(dim=-1).float()
