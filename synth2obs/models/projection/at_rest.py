"""Functions in native pixels at zero velocity, and sums of their products over short stretches of the spectrum."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.models.projection.linear import Expansion, Products, functions_at
from synth2obs.physics.instrument import Instrument

RUN = 512
"""Pixels worked on at a time, for the same reason."""


STRETCHES = 256
"""Stretches of the spectrum in which `Through` takes the continuum as constant and weights as linear in the mean
spectrum, where they steer a step."""


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

    @property
    def pixels(self) -> Tensor:
        """All functions, shape (P, M); the first star's line spread."""
        return self._linearised[0]

    @cached_property
    def _linearised(self) -> tuple[Tensor, Tensor]:
        """The functions and their derivatives by the velocity per km/s, both (P, M)."""
        parts = []
        for functions, width in self.functions:
            still = torch.zeros(functions.shape[1], dtype=torch.float64)
            parts.append(self.instrument.linearised(functions.T.contiguous(), still, width, still.long()))
        value, slope = zip(*parts, strict=True)
        return torch.cat(value).T.contiguous(), torch.cat(slope).T.contiguous()

    def spectrum(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra of coefficients (B, M), and their derivatives by the velocity per km/s, both (B, P)."""
        value, slope = (coefficients.float() @ part.T for part in self._linearised)
        return value, slope

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


def stretch_normal(part: Stretches, at: Expansion, shift: Tensor) -> Tensor:
    """AᵀWc²A of one detector, everything taken to rest first, shape (B, M, M)."""
    lower, share = part.between(shift)
    weight = at.noise.marginal.float() * at.continuum.square()
    packed = _straight(part, _blocked(interpolated(weight, lower, share), part.size)) @ part.normal
    return packed.index_select(1, part.whole.flatten()).unflatten(1, part.whole.shape)


def stretch_products(part: Stretches, at: Expansion, shift: Tensor) -> Products:
    """The sums of one detector, everything taken to rest first."""
    lower, share = part.between(shift)
    inner = at.noise.marginal.float() * at.continuum
    parts = (inner * at.continuum * at.by_rv, inner * at.spectrum)
    moving, factor = (_blocked(interpolated(values, lower, share), part.size) for values in parts)
    velocity = moving.flatten(1) @ part.functions.flatten(0, 1)
    return Products(stretch_normal(part, at, shift), velocity, _by_continuum(part, at, factor, lower))


def _by_continuum(part: Stretches, at: Expansion, factor: Tensor, lower: Tensor) -> Tensor:
    """Sums of functions times ``factor`` (B, K, size) times the continuum's, constant in each stretch: (B, M, C)."""
    middle = torch.arange(factor.shape[1]) * part.size + part.size // 2
    places = lower[:, middle.clamp(max=lower.shape[1] - 1)]
    pulled = torch.bmm(factor.transpose(0, 1), part.functions).transpose(0, 1)
    return pulled.mT @ functions_at(at.continuum_basis, places)


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


def interpolated(values: Tensor, lower: Tensor, share: Tensor) -> Tensor:
    """Values (B, P) between pixels."""
    return torch.lerp(values.gather(1, lower), values.gather(1, lower + 1), share.to(values.dtype))
