"""Where stars are in Teff and log g at a given [Fe/H]: the stellar-evolution prior of this package, to draw from."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Array = NDArray[np.float64]
BLUR = np.diag([150.0**2, 0.2**2])
"""Added to every component, K and dex: isochrones are wrong by less, and nothing real may lie outside."""

GIANT = 3.6
"""log g below which a star counts as a giant."""

TEMPER = 0.6
"""Power of the shares of components: bright giants and hot stars are rare, and have to be learned all the same."""


@dataclass(frozen=True)
class Evolution:
    """A mixture of Gaussians in (Teff, log g), conditioned on [Fe/H], with a broad floor.

    Args:
        weight, mean, covariance: Of the components in (K, dex, dex), shapes (C,), (C, 3), (C, 3, 3).
        floor_weight, floor_mean, floor_sigma: Of the floor.
    """

    weight: Array
    mean: Array
    covariance: Array
    floor_weight: float
    floor_mean: Array
    floor_sigma: Array

    def draw(self, fe_h: Array, uniform: Array, giants: float) -> Array:
        """Teff in K and log g of stars, shape (N, 2).

        Args:
            fe_h: dex, shape (N,).
            uniform: Numbers in (0, 1), shape (N, 3): for the component, and one for each label.
            giants: Share of stars in components whose mean log g is below `GIANT`.
        """
        variance = self.covariance[:, 2, 2]
        distance = (fe_h[:, None] - self.mean[:, 2]) / np.sqrt(variance)
        share = self.weight / np.sqrt(variance) * np.exp(-0.5 * distance**2) + 1e-300
        share = (1.0 - self.floor_weight) * self._balanced(share, giants)
        chosen = (np.cumsum(share, axis=1) < uniform[:, :1]).sum(axis=1)
        normal = ndtri(uniform[:, 1:])
        floor = self.floor_mean + self.floor_sigma * normal
        known = chosen < len(self.weight)
        return np.where(
            known[:, None], self._star(np.minimum(chosen, len(self.weight) - 1), fe_h, normal), floor
        )

    def _balanced(self, share: Array, giants: float) -> Array:
        """Shares that sum to one, with as many giants as asked for and rare kinds of star made less rare."""
        giant = self.mean[:, 1] < GIANT
        tempered = share**TEMPER
        parts = [tempered * kind for kind in (giant, ~giant)]
        low, high = (part / part.sum(axis=1, keepdims=True) for part in parts)
        return giants * low + (1.0 - giants) * high

    def _star(self, chosen: NDArray[np.integer], fe_h: Array, normal: Array) -> Array:
        slope = self.covariance[:, :2, 2] / self.covariance[:, 2, 2, None]
        inner = self.covariance[:, :2, :2] - slope[:, :, None] * self.covariance[:, None, 2, :2] + BLUR
        centre = self.mean[chosen, :2] + slope[chosen] * (fe_h - self.mean[chosen, 2])[:, None]
        return centre + np.einsum("nij,nj->ni", np.linalg.cholesky(inner)[chosen], normal)


@lru_cache(maxsize=1)
def evolution() -> Evolution:
    """The prior that comes with this package (``grids/evolution_prior``)."""
    content = json.loads((resources.files("synth2obs") / "data" / "evolution_prior.json").read_text())
    floor = content["floor"]
    return Evolution(
        weight=np.array(content["weight"]),
        mean=np.array(content["mean"]),
        covariance=np.array(content["covariance"]),
        floor_weight=float(floor["weight"]),
        floor_mean=np.array(floor["mean"]),
        floor_sigma=np.array(floor["sigma"]),
    )
