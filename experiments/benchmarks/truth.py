"""Spectra whose pixels are known in closed form: sums of Gaussian lines, through a Gaussian line spread.

A line of width w at c, seen at velocity v through a line spread σ in the pixel [a, b] (all in ln λ), is

    w √(2π) / (b − a) · [Φ((b − z − c)/s) − Φ((a − z − c)/s)] ,   s² = w² + σ² ,   z = atanh(v/c₀) ,

exactly. `by_definition` integrates the same numerically, once, so that the closed form is checked too.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import simpson
from scipy.sparse import csr_matrix
from scipy.special import ndtr

from benchmarks.scenes import VELOCITY, Array, Scene
from synth2obs.core.constants import C_KMS

REACH = 9.0
"""Widths at which a Gaussian is taken as zero: the rest is 1e-19 of it."""

SPACING = 30.0
"""Mean distance between lines in km/s."""


@dataclass(frozen=True)
class Lines:
    """Positions and widths of Gaussian lines in ln λ, shape (K,) each, positions increasing."""

    centre: Array
    width: Array

    def sampled(self, log_wave: Array) -> csr_matrix:
        """Line profiles of depth 1 at given ln λ: (L,) → (L, K)."""
        first = np.searchsorted(log_wave, self.centre - REACH * self.width)
        last = np.searchsorted(log_wave, self.centre + REACH * self.width)
        column, row = _ranges(first, last)
        values = np.exp(-0.5 * ((log_wave[row] - self.centre[column]) / self.width[column]) ** 2)
        return csr_matrix((values, (row, column)), shape=(len(log_wave), len(self.centre)))

    def seen(self, lower: Array, upper: Array, rv: float, sigma: Array | float) -> csr_matrix:
        """Profiles of depth 1 in pixels.

        Args:
            lower, upper: ln λ of the pixels' edges, shape (P,).
            rv: km/s, positive receding.
            sigma: Line spread in ln λ, shape (P,) or one value.

        Returns:
            Shape (P, K).
        """
        shift = math.atanh(rv / C_KMS)
        low, high, spread = lower - shift, upper - shift, np.broadcast_to(sigma, lower.shape)
        reach = REACH * np.hypot(self.width.max(), spread)
        first, last = np.searchsorted(self.centre, low - reach), np.searchsorted(self.centre, high + reach)
        row, column = _ranges(first, last)
        width = np.hypot(self.width[column], spread[row])
        inside = ndtr((high[row] - self.centre[column]) / width) - ndtr(
            (low[row] - self.centre[column]) / width
        )
        area = self.width[column] * math.sqrt(2.0 * math.pi) / (high[row] - low[row])
        return csr_matrix((area * inside, (row, column)), shape=(len(lower), len(self.centre)))


def _ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (i, j) with first[i] <= j < last[i], as two arrays."""
    count = last - first
    owner = np.repeat(np.arange(len(first)), count)
    start = np.repeat(first - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    return owner, np.arange(count.sum()) + start


def random_lines(scene: Scene, random: np.random.Generator) -> Lines:
    """Lines of σ 1 to 3 km/s all over the rest grid; at least 1.5 samples wide, as a theory's lines must be."""
    narrowest = max(1.0, 1.5 * scene.step * C_KMS)
    start, stop = np.log(scene.rest[[0, -1]])
    count = int((stop - start) * C_KMS / SPACING)
    centre = np.sort(random.uniform(start, stop, count))
    return Lines(centre, random.uniform(narrowest, max(3.0, 2.0 * narrowest), count) / C_KMS)


@dataclass(frozen=True)
class Stars:
    """Some stars of a scene: velocities, rest-frame spectra and the exact pixels.

    Args:
        rv: km/s, shape (N,).
        flux: Shape (N, L).
        pixels: Shape (N, P).
    """

    rv: Array
    flux: Array
    pixels: Array


def random_stars(scene: Scene, count: int, seed: int = 0) -> Stars:
    """Stars with lines in common, whose depths (1 to 70 %, most of them shallow) and velocities differ."""
    random = np.random.default_rng(seed)
    lines = random_lines(scene, random)
    depth = 0.01 * 70.0 ** random.uniform(size=(len(lines.centre), count))
    rv = random.uniform(-VELOCITY, VELOCITY, count)
    sigma = scene.sigma / scene.wavelength
    pixels = [1.0 - lines.seen(*scene.edges, v, sigma) @ depth[:, n] for n, v in enumerate(rv)]
    return Stars(rv, 1.0 - (lines.sampled(np.log(scene.rest)) @ depth).T, np.stack(pixels))


def by_definition(
    lines: Lines,
    depth: Array,
    edges: tuple[float, float],
    rv: float,
    sigma: float,
    *,
    in_angstrom: bool = False,
) -> float:
    """One pixel by Simpson's rule over the pixel and over the line spread.

    Args:
        lines: With their depths, shape (K,).
        depth: Of each line.
        edges: ln λ of the pixel's edges.
        rv: km/s.
        sigma: Line spread in ln λ.
        in_angstrom: Pixel mean and Gaussian in λ instead of ln λ, to see what that choice amounts to.
    """
    shift, reach = math.atanh(rv / C_KMS), REACH * sigma
    step = min(float(lines.width.min()), sigma) / 12.0
    x = np.linspace(
        edges[0] - reach, edges[1] + reach, 2 * int((edges[1] - edges[0] + 2 * reach) / step / 2) + 1
    )
    theory = 1.0 - lines.sampled(x - shift) @ depth
    points = np.linspace(*edges, 81)
    if in_angstrom:
        middle = math.exp(0.5 * (edges[0] + edges[1]))
        x, points, sigma = np.exp(x), np.exp(points), sigma * middle
    kernel = np.exp(-0.5 * ((points[:, None] - x) / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
    blurred = simpson(kernel * theory, x=x)
    return float(simpson(blurred, x=points) / (points[-1] - points[0]))


def check_truth(scene: Scene, *, in_angstrom: bool = False, pixels: int = 12, seed: int = 0) -> float:
    """Largest difference between the closed form and `by_definition`, over pixels all along the scene."""
    random = np.random.default_rng(seed)
    lines = random_lines(scene, random)
    depth = 0.01 * 70.0 ** random.uniform(size=len(lines.centre))
    lower, upper = scene.edges
    sigma = scene.sigma / scene.wavelength
    exact = 1.0 - lines.seen(lower, upper, 137.0, sigma) @ depth
    differences = [
        abs(
            by_definition(lines, depth, (lower[p], upper[p]), 137.0, float(sigma[p]), in_angstrom=in_angstrom)
            - exact[p]
        )
        for p in np.linspace(0, len(lower) - 1, pixels).astype(int)
    ]
    return max(differences)
