"""What networks are taught from: the grid as a survey would see it, and the survey's own stars, in the same pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import StarLabels
from synth2obs.physics.continuum import random_continuum

CONTINUUM = 0.3
"""Standard deviation of tilt and bend of ln continuum that spectra of the grid are given."""

ROUNDS = 3
"""Times that pixels below a pseudo-continuum are left out of it."""

BELOW, ABOVE = 1.0, 3.0
"""Standard deviations below and above it beyond which a pixel is left out."""

LEAST = 0.05
"""Smallest pseudo-continuum, over a spectrum's median."""

RIDGE = 1e-8
"""Pull of its coefficients to zero, over the mean diagonal: it keeps masked detectors solvable."""


@dataclass(frozen=True)
class Theory:
    """Spectra of the grid that teach.

    Args:
        flux: Normalised, on the bridge's rest grid, shape (M, L).
        x: Their scaled labels, shape (M, K).
    """

    flux: Tensor
    x: Tensor


@dataclass(frozen=True)
class Pixels:
    """Spectra divided by a pseudo-continuum that depends on nothing but them.

    Args:
        flux: Shape (N, P), 1 where masked.
        ivar: Of that flux, 0 where masked.
        level: The pseudo-continuum, shape (N, P).
    """

    flux: Tensor
    ivar: Tensor
    level: Tensor

    def take(self, rows: Tensor) -> "Pixels":
        """Some of the spectra."""
        return Pixels(self.flux[rows], self.ivar[rows], self.level[rows])


class Normaliser:
    """Divides spectra, theirs or ours, by a polynomial through the upper part of their pixels.

    Args:
        basis: Of continua, shape (P, C).
    """

    def __init__(self, basis: Tensor) -> None:
        self.basis = basis.double()
        self.products = (self.basis[:, :, None] * self.basis[:, None, :]).flatten(1)

    def __call__(self, flux: Tensor, ivar: Tensor) -> Pixels:
        """Normalise; masked pixels, where ivar is 0, take no part.

        Args:
            flux: Shape (N, P).
            ivar: Shape (N, P).
        """
        good = ivar > 0
        usual = flux.where(good, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num(1.0).abs()
        least, kept = LEAST * usual.clamp(min=1e-6), good
        for _ in range(ROUNDS):
            ratio = flux / torch.maximum(self._fit(flux, kept), least) - 1.0
            square = (ratio.square() * kept).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)
            reach = square.sqrt()
            kept = good & (ratio > -BELOW * reach) & (ratio < ABOVE * reach)
        level = torch.maximum(self._fit(flux, kept), least)
        return Pixels(torch.where(good, flux / level, 1.0), ivar * level.square(), level)

    def _fit(self, flux: Tensor, kept: Tensor) -> Tensor:
        """Least squares over some of the pixels, shape (N, P)."""
        weight, terms = kept.double(), self.basis.shape[1]
        normal = (weight @ self.products).unflatten(1, (terms, terms))
        right = (torch.where(kept, flux, 0.0).double() @ self.basis)[..., None]
        scale = normal.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp(min=1.0)
        normal = normal + RIDGE * scale * torch.eye(terms, dtype=normal.dtype)
        return (torch.linalg.solve(normal, right)[..., 0] @ self.basis.T).to(flux.dtype)


class Lessons:
    """A survey's stars and the grid as that survey would see it.

    Args:
        bridge: Trained; its scale of labels, and what it learned of the width of the survey's lines, are used.
        theory: Spectra of the grid.
        seen: Training stars of the survey, on pixels that they share.
        stars: Where they stand; their velocities alone are used.
    """

    def __init__(self, bridge: Bridge, theory: Theory, seen: Observation, stars: StarLabels) -> None:
        self.bridge, self.theory, self.survey = bridge, theory, seen.survey
        self.instrument, self.width = seen.instrument, float(bridge.survey(seen.survey).width_scale)
        self.normalise = Normaliser(seen.continuum_basis)
        self.stars = self.normalise(seen.flux, seen.ivar)
        middle = stars.rv.median()
        self.velocity = float(middle), MAD_TO_SIGMA * float((stars.rv - middle).abs().median())

    @torch.no_grad()
    def synthetic(self, rows: Tensor, random: torch.Generator, *, noise: bool) -> Pixels:
        """Spectra of the grid as the survey would see them.

        Each has the velocity of some star, a smooth continuum, and the mask and inverse variances of a star drawn at
        random.

        Args:
            rows: Of the grid's spectra, shape (B,).
            random: Where all that is drawn comes from.
            noise: Add a star's noise.
        """
        count, (centre, spread) = len(rows), self.velocity
        rv = centre + spread * torch.randn(count, generator=random, dtype=torch.float64)
        clean = self.instrument(self.theory.flux[rows], rv, self.width)
        ivar = self.stars.ivar[torch.randint(len(self.stars.ivar), (count,), generator=random)]
        ivar = ivar * self.instrument.valid(rv, self.width)
        level = random_continuum(count, clean.shape[1], CONTINUUM, random)
        if noise:
            sigma = torch.where(ivar > 0, ivar, torch.inf).rsqrt()
            clean = clean + sigma * torch.randn(clean.shape, generator=random)
        return self.normalise(clean * level, ivar / level.square())

    def rows(self, batch: int, random: torch.Generator) -> Tensor:
        """Spectra of the grid drawn at random, shape (B,)."""
        return torch.randint(len(self.theory.flux), (batch,), generator=random)
