r"""What takes coefficients to native pixels: linear in the coefficients, for every star at its own velocity.

Two forms of the same map. `Projected` holds every star's own functions in native pixels, at one velocity and its
first derivative: exact sums over pixels, memory for every star. `Through` holds the rest-frame functions once for
all stars and sends spectra through the instrument, there and back; sums over pixels that only steer a step
are taken over short stretches of the spectrum, within which the continuum hardly changes and weights follow the mean
spectrum.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.core.constants import C_KMS
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.instrument import Instrument

FEW = 16
"""Stars worked on at a time where a matrix has a row per pixel, so that it stays within the caches."""

RUN = 512
"""Pixels worked on at a time, for the same reason."""

STRETCHES = 256
"""Stretches of the spectrum in which `Through` takes the continuum as constant and weights as linear in the mean
spectrum, where they steer a step."""


class Products(NamedTuple):
    """Sums over pixels that steer a Gauss–Newton step."""

    normal: Tensor  # (B, M, M), AᵀWc²A
    velocity: Tensor  # (B, M), AᵀWc² times the derivative by the scaled velocity
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

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Place":
        """The same with every array of shape (B, P) changed."""
        parts = (self.spectrum, self.by_rv, self.ivar, self.level)
        spectrum, by_rv, ivar, level = map(change, parts)
        return self._replace(spectrum=spectrum, by_rv=by_rv, ivar=ivar, level=level)


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
        normal, velocity, cross = [], [], []
        for rows, own in _few(at):
            functions = self.functions[rows]
            moved = functions + _differences(functions, shift[rows])
            normal.append(moved.mT @ (moved * (factor * at.level)[rows, :, None]))
            velocity.append((moved.mT @ (factor * at.level * at.by_rv)[rows, :, None])[..., 0])
            cross.append(moved.mT @ (own * (factor * at.spectrum)[rows, :, None]))
        return Products(torch.cat(normal), torch.cat(velocity), torch.cat(cross))

    def gram(self, at: Place, jacobian: Tensor) -> Tensor:
        """See `Linear`; exact."""
        shift = (self._spacing() * at.rv.float()[:, None])[..., None]
        parts = []
        for rows, own in _few(at):
            theta = self.functions[rows] @ jacobian[rows].float()
            theta = theta + _differences(theta, shift[rows])
            parts.append(_gram(theta.mT, _rows(at, rows), own.mT))
        return torch.cat(parts)


def _few(at: Place) -> Iterator[tuple[slice, Tensor]]:
    """Rows of a few stars at a time, and their continuum functions, (P, C) or (b, P, C)."""
    for start in range(0, max(len(at.rv), 1), FEW):
        rows = slice(start, start + FEW)
        yield rows, at.continuum[rows] if at.continuum.dim() == 3 else at.continuum


def _rows(at: Place, rows: slice) -> Place:
    """Some of the stars; the continuum functions stay."""
    return Place._make([*(part[rows] for part in at[:-1]), at.continuum])


def _at(basis: Tensor, places: Tensor) -> Tensor:
    """Continuum functions (P, C) or (B, P, C) at pixels (B, K), shape (B, K, C)."""
    if basis.dim() == 2:
        return basis[places]
    return basis.gather(1, places[..., None].expand(-1, -1, basis.shape[2]))


def _gram(theta: Tensor, at: Place, continuum: Tensor) -> Tensor:
    """Products of θ's rows (B, Q, P), the velocity's and the continuum's (C, P) or (B, C, P), float64."""
    weight = at.ivar.sqrt()
    inner, outer = (weight * at.level)[:, None], (weight * at.spectrum)[:, None]
    rows = torch.cat([theta * inner, at.by_rv[:, None] * inner, continuum * outer], dim=1).float()
    return (rows @ rows.mT).double()


def _differences(values: Tensor, spacing: Tensor) -> Tensor:
    """Central differences along the pixels times ``spacing``, of values (B, P) or (B, P, K)."""
    slope = torch.zeros_like(values)
    slope[:, 1:-1] = values[:, 2:] - values[:, :-2]
    return slope * spacing


class Stretches(NamedTuple):
    """Short stretches of one detector, at rest.

    Args:
        pixels: The detector's slice of the native pixels.
        size: Pixels per stretch; the last one may have fewer.
        place: Pixel number n(ln λ), its first and half its second derivative at the pixels, shape (3, P').
        functions: A at rest, zeros filling the last stretch, shape (K, size, M).
        depth: d, the first function (the mean spectrum) minus its mean over the stretch, shape (K, size).
        normal: Upper triangles of AᵀA and Aᵀ diag(d) A per pixel of each stretch, shape (2 K, M (M + 1) / 2).
        whole: Where in such a triangle each entry of the matrix stands, shape (M, M).
    """

    pixels: slice
    size: int
    place: Tensor
    functions: Tensor
    depth: Tensor
    normal: Tensor
    whole: Tensor

    def between(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The pixel before the place of each rest pixel at a shift in ln λ, and the share of the next one."""
        s, last = shift.float()[:, None], self.place.shape[1] - 1
        place = (self.place[0] + s * (self.place[1] + s * self.place[2])).clamp(0.0, last)
        lower = place.long().clamp(max=last - 1)
        return lower + self.pixels.start, place - lower


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
        """See `Linear`; in each stretch the continuum is constant, weights and factor linear in the mean spectrum."""
        shift = log_doppler(self.origin + at.rv)
        parts = [_stretch_products(part, at, shift) for part in self.still.stretches]
        return Products(*(torch.stack(sums).sum(0) for sums in zip(*parts, strict=True)))

    def gram(self, at: Place, jacobian: Tensor) -> Tensor:
        """See `Linear`; the functions at rest, and all else where it then falls, interpolated between pixels."""
        lower, share = self._between(log_doppler(self.origin + at.rv))
        moved = at.mapped(lambda values: _interpolated(values, lower, share))
        nearest, still = lower + share.round().long(), self.still.pixels.T
        parts = []
        for rows, own in _few(at):
            slope, here = jacobian[rows].float().mT, _rows(moved, rows)
            total = jacobian.new_zeros(())
            for run in self.still.runs:
                theta = (slope.flatten(0, 1) @ still[:, run]).unflatten(0, slope.shape[:2])
                some = here.mapped(itemgetter((slice(None), run)))
                total = total + _gram(theta, some, _at(own, nearest[rows, run]).mT)
            parts.append(total)
        return torch.cat(parts)

    def _between(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """`Stretches.between` of all detectors."""
        lower, share = zip(*(part.between(shift) for part in self.still.stretches), strict=True)
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

    @property
    def runs(self) -> list[slice]:
        """Short runs of pixels."""
        count = len(self.pixels)
        return [slice(start, min(start + RUN, count)) for start in range(0, count, RUN)]

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
    own, count = log_wave[pixels].double(), functions.shape[0]
    number = torch.arange(len(own), dtype=torch.float64)
    first = torch.gradient(number, spacing=(own,))[0]
    second = torch.gradient(first, spacing=(own,))[0]
    place = torch.stack([number, first, 0.5 * second]).float()
    blocks = pad(functions, (0, 0, 0, -count % size)).unflatten(0, (-1, size))
    used = (torch.arange(blocks.shape[0] * size) < count).view(-1, size)
    pixels_used = used.sum(1, keepdim=True)
    mean = (blocks[..., 0] * used).sum(1, keepdim=True) / pixels_used
    depth = (blocks[..., 0] - mean) * used
    row, column = torch.triu_indices(blocks.shape[2], blocks.shape[2])
    normal = [blocks.mT @ (blocks * part[..., None]) for part in (used, depth)]
    packed = [part[:, row, column] / pixels_used for part in normal]
    whole = torch.empty(blocks.shape[2], blocks.shape[2], dtype=torch.int64)
    whole[row, column] = whole[column, row] = torch.arange(len(row))
    return Stretches(pixels, size, place, blocks, depth, torch.cat(packed), whole)


def _stretch_products(part: Stretches, at: Place, shift: Tensor) -> Products:
    """The sums of one detector, everything taken to rest first."""
    lower, share = part.between(shift)
    inner = at.ivar * at.level
    parts = (inner * at.level, inner * at.level * at.by_rv, inner * at.spectrum)
    weight, moving, factor = (_blocked(_interpolated(values, lower, share), part.size) for values in parts)
    packed = _straight(part, weight) @ part.normal
    normal = packed.index_select(1, part.whole.flatten()).unflatten(1, part.whole.shape)
    velocity = moving.flatten(1) @ part.functions.flatten(0, 1)
    return Products(normal, velocity, _by_continuum(part, at, factor, lower))


def _by_continuum(part: Stretches, at: Place, factor: Tensor, lower: Tensor) -> Tensor:
    """Sums of functions times ``factor`` (B, K, size) times the continuum's, constant in each stretch: (B, M, C)."""
    middle = torch.arange(factor.shape[1]) * part.size + part.size // 2
    places = lower[:, middle.clamp(max=lower.shape[1] - 1)]
    pulled = torch.bmm(factor.transpose(0, 1), part.functions).transpose(0, 1)
    return pulled.mT @ _at(at.continuum, places)


def _straight(part: Stretches, values: Tensor) -> Tensor:
    """Values (B, K, size) as a straight line in d in each stretch: level and slope times pixels, shape (B, 2 K).

    Inverse variances rise and fall with the lines themselves. The line stays positive where the values are.
    """
    count = (part.place.shape[1] - torch.arange(values.shape[1]) * part.size).clamp(max=part.size)
    total = values.sum(2)
    slope = (values * part.depth).sum(2) / part.depth.square().sum(1).clamp(min=1e-12)
    level = total / count
    highest = level / -part.depth.amin(1).clamp(max=-1e-6)
    slope = torch.minimum(torch.maximum(slope, -level / part.depth.amax(1).clamp(min=1e-6)), highest)
    return torch.cat([total, slope * count], dim=1)


def _blocked(values: Tensor, size: int) -> Tensor:
    """Values (B, P') in stretches, shape (B, K, size), the last one filled with zeros."""
    return pad(values, (0, -values.shape[1] % size)).unflatten(1, (-1, size))


def _interpolated(values: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Values (B, P) between pixels."""
    return torch.lerp(values.gather(1, lower), values.gather(1, lower + 1), share.to(values.dtype))
