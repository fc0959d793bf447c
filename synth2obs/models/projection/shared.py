"""Functions that all stars share, seen through an instrument with shared pixels."""

from copy import copy
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from synth2obs.models.projection.at_rest import AtRest, interpolated, stretch_normal, stretch_products
from synth2obs.models.projection.linear import Expansion, Products, few_stars, functions_at, gram_of, rows_of
from synth2obs.physics.broadening import Broadening, moved
from synth2obs.physics.coarser import coarser
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.instrument import Instrument


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

    def broadened(self, broadening: Broadening, step: float) -> "Functions":
        """Those of stars that all rotate alike, the gap with them; ``step`` is the grid's spacing in ln λ."""
        sharp, seen = (
            broadening.apply(part.T, step, self.bands).T if part.shape[1] else part
            for part in (self.sharp, self.seen)
        )
        return Functions(sharp, seen, self.bands)


class Through:
    """Rest-frame functions that all stars share, seen through an instrument with shared pixels.

    Args:
        instrument: The survey's operator.
        functions: What it acts on.
        width: Factor on the survey's σ.
        segment: Detector of each pixel, shape (P,); wavelengths increase on every detector.
    """

    def __init__(self, instrument: Instrument, functions: Functions, width: float, segment: Tensor) -> None:
        self.coarse = coarser(instrument, width)
        self.instrument, self.width, self.segment = self.coarse.instrument, width, segment
        self.stars: Tensor | None = None
        self.origin = torch.zeros(1, dtype=torch.float64)
        self.margin = 0.0
        self._take_functions(functions)

    def _take_functions(self, functions: Functions) -> None:
        self.sharp = self.coarse.sharp(functions.sharp.float(), functions.bands).contiguous()
        self.seen = self.coarse.seen(functions.seen.float(), functions.bands).contiguous()
        self.has_seen = bool(self.seen.any())
        kinds = [(self.sharp, self.width), (self.seen, 0.0)]
        self.still = AtRest(self.instrument, kinds, self.segment)

    def of_functions(self, functions: Functions, margin: float) -> "Through":
        """The same instrument for other functions, which are not known within ``margin`` in ln λ of a band's end."""
        own = copy(self)
        own.margin = margin
        own._take_functions(functions)
        return own

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
        return covered(self.instrument, self.origin + rv, self.width, self.stars, self.margin)

    def pull(self, values: Tensor, rv: Tensor) -> Tensor:
        """See `Linear`."""
        velocity = self.origin + rv
        sharp = self.instrument.adjoint(values, velocity, self.width, self.stars) @ self.sharp
        if not self.has_seen:
            return pad(sharp, (0, self.seen.shape[1]))
        seen = self.instrument.adjoint(values, velocity, 0.0, self.stars) @ self.seen
        return torch.cat([sharp, seen], dim=1)

    def normal(self, at: Expansion) -> Tensor:
        """See `Linear`; in each stretch weights are linear in the mean spectrum."""
        shift = log_doppler(self.origin + at.rv)
        return torch.stack([stretch_normal(part, at, shift) for part in self.still.stretches]).sum(0)

    def products(self, at: Expansion) -> Products:
        """See `Linear`; in each stretch the continuum is constant, weights and factor linear in the mean spectrum."""
        shift = log_doppler(self.origin + at.rv)
        parts = [stretch_products(part, at, shift) for part in self.still.stretches]
        return Products(*(torch.stack(sums).sum(0) for sums in zip(*parts, strict=True)))

    def gram(self, at: Expansion, jacobian: Tensor) -> Tensor:
        """See `Linear`; the spectrum at rest, continuum and weights where they then fall, between pixels."""
        lower, share = self._between(log_doppler(self.origin + at.rv))
        moved = at.mapped(lambda values: interpolated(values, lower, share))
        spectrum, by_rv = self.still.spectrum(at.coefficients)
        moved = moved._replace(spectrum=spectrum, by_rv=by_rv * at.unit)
        nearest, still = lower + share.round().long(), self.still.pixels.T
        parts = []
        for rows, own in few_stars(at):
            slope, here = jacobian[rows].float().mT, rows_of(moved, rows)
            total = jacobian.new_zeros(())
            for run in self.still.runs if at.noise.wide is None else [slice(0, len(self.still.pixels))]:
                theta = (slope.flatten(0, 1) @ still[:, run]).unflatten(0, slope.shape[:2])
                some = here.mapped(itemgetter((slice(None), run)))
                total = total + gram_of(theta, some, functions_at(own, nearest[rows, run]).mT)
            parts.append(total)
        return torch.cat(parts)

    def _between(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """`Stretches.between` of all detectors."""
        lower, share = zip(*(part.between(shift) for part in self.still.stretches), strict=True)
        return torch.cat(lower, dim=1), torch.cat(share, dim=1)


def covered(
    instrument: Instrument, rv: Tensor, width: float, stars: Tensor | None, margin: Tensor | float
) -> Tensor:
    """`Instrument.valid` for spectra that are not known within a margin in ln λ of a band's ends, shape (B, P)."""
    if isinstance(margin, float) and margin == 0:
        return instrument.valid(rv, width, stars)
    aside = torch.as_tensor(margin, dtype=rv.dtype)
    low, high = (instrument.valid(moved(rv, shift), width, stars) for shift in (-aside, aside))
    return low & high
