"""Labels like those of a survey's stars: on isochrones, with the abundances that stars have, and broad margins."""

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtri

from synth2obs.core.config import Section
from synth2obs.core.evolution import Evolution, read_evolution
from synth2obs.core.trends import (
    LEAST_VMIC,
    OTHER_SCATTER,
    S_PROCESS,
    SCATTER,
    alpha_rich_share,
    mean_abundance,
    microturbulence,
    mixing,
)
from synth2obs.synthesis.sampling.sequence import sobol
from synth2obs.synthesis.sampling.stars import draw_stars

Array = NDArray[np.float64]
Ranges = dict[str, tuple[float, float]]

CORE = ("teff", "logg", "fe_h", "vmic")
BLOCK = 1024
RARE = 0.05
"""Share of metal-poor stars rich in carbon, and of stars rich in s-process elements."""

COOL, OXYGEN, CARBON = 5000.0, 0.27, -0.02
"""Teff in K below which molecules bind carbon or oxygen; the Sun's lg O/C; lg C/O from which there are carbon stars."""

HOT_GIANTS = 5700.0, 1800.0, 3.0
"""No star is drawn hotter than the first (K) unless log g exceeds the third times the excess over the second."""


class PopulationConfig(Section):
    """A survey-like population."""

    name: Literal["population"] = Field(default="population", description="entry of the registry")
    metal_poor: float = Field(default=0.35, ge=0, le=1, description="share of stars with [Fe/H] < -1")
    giants: float = Field(default=0.5, gt=0, lt=1, description="share of giants, log g < 3.6")
    wide: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of stars whose abundances are spread evenly about the mean",
    )
    margin: float = Field(default=0.5, gt=0, description="half-width of that spread, dex")
    carbon_stars: bool = Field(
        default=True,
        description="whether stars below 5000 K may have as much carbon as oxygen, which wants models of their own",
    )
    vmic_scatter: float = Field(default=0.3, ge=0, description="about the relation, km/s")


class Population:
    """Draws labels from a population; the first N are the same for every N.

    Args:
        config: Population.
    """

    Config: ClassVar[Any] = PopulationConfig

    def __init__(self, config: PopulationConfig) -> None:
        self.config = config

    def draw(self, names: tuple[str, ...], ranges: Ranges, spectra: int, seed: int) -> Array:
        """Labels inside the ranges, shape (N, K)."""
        low, high = np.array([ranges[name] for name in names]).T
        evolution = read_evolution()
        found: list[Array] = []
        start = 0
        while sum(map(len, found)) < spectra:
            numbers = sobol(BLOCK, 9 + len(names), seed, start)
            table = self._block(evolution, names, ranges["fe_h"], numbers)
            inside = ((table >= low) & (table <= high)).all(axis=1) & ~_hot_giant(table, names)
            if not self.config.carbon_stars:
                inside &= ~_cool_carbon_star(table, names)
            found.append(table[inside])
            start += BLOCK
        return np.concatenate(found)[:spectra]

    def _block(
        self, evolution: Evolution, names: tuple[str, ...], fe_h_range: tuple[float, float], u: Array
    ) -> Array:
        fe_h = self._metallicity(u[:, 0], fe_h_range)
        teff, logg = draw_stars(evolution, fe_h, u[:, 1:4], self.config.giants).T
        vmic = microturbulence(teff, logg, fe_h) + self.config.vmic_scatter * ndtri(u[:, 4])
        columns = {"teff": teff, "logg": logg, "fe_h": fe_h, "vmic": np.maximum(vmic, LEAST_VMIC)}
        for number, name in enumerate(names):
            if name not in CORE:
                columns[name] = self._abundance(
                    name.removesuffix("_fe"), logg, fe_h, u[:, 5:9], u[:, 9 + number]
                )
        return np.stack([columns[name] for name in names], axis=1)

    def _metallicity(self, u: Array, limits: tuple[float, float]) -> Array:
        """Even below -1; above it, rising towards the Sun's and falling beyond."""
        share = self.config.metal_poor
        poor = limits[0] + (-1.0 - limits[0]) * u / max(share, 1e-9)
        knots = np.array([-1.0, -0.6, -0.3, -0.1, 0.1, 0.3, limits[1]])
        rich = np.interp(
            (u - share) / max(1.0 - share, 1e-9), [0.0, 0.14, 0.35, 0.55, 0.77, 0.92, 1.0], knots
        )
        return np.where(u < share, poor, rich)

    def _abundance(self, element: str, logg: Array, fe_h: Array, kind: Array, u: Array) -> Array:
        """[X/Fe]; ``kind`` decides for each star: sequence, spread, richness in s-process elements and in carbon."""
        alpha_rich = kind[:, 0] > 1.0 - alpha_rich_share(fe_h)
        centre = mean_abundance(element, fe_h, alpha_rich) + mixing(element, logg, fe_h)
        centre += S_PROCESS.get(element, 0.0) * np.where(kind[:, 2] < RARE, 0.4 + 8.0 * kind[:, 2], 0.0)
        if element == "c":
            centre += np.where((kind[:, 3] < RARE) & (fe_h < -1.0), 0.3 + 12.0 * kind[:, 3], 0.0)
        spread = SCATTER.get(element, OTHER_SCATTER) * ndtri(u)
        return centre + np.where(kind[:, 1] < self.config.wide, self.config.margin * (2.0 * u - 1.0), spread)


def _hot_giant(table: Array, names: tuple[str, ...]) -> NDArray[np.bool_]:
    teff, logg = table[:, names.index("teff")], table[:, names.index("logg")]
    start, width, top = HOT_GIANTS
    return logg < top * (teff - start) / width


def _cool_carbon_star(table: Array, names: tuple[str, ...]) -> NDArray[np.bool_]:
    carbon, oxygen = (
        table[:, names.index(name)] if name in names else np.zeros(len(table)) for name in ("c_fe", "o_fe")
    )
    return (table[:, names.index("teff")] < COOL) & (carbon - oxygen - OXYGEN > CARBON)
