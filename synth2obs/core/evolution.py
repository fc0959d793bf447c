"""Where stars are in Teff and log g at a given [Fe/H]: the mixture behind the stellar-evolution prior."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from synth2obs.core.errors import ModelError

Array = NDArray[np.float64]
FORMAT = "synth2obs-population/1"
DEFAULT = Path(__file__).parents[1] / "data" / "evolution_prior.json"
"""The prior that comes with this package; ``grids/evolution_prior`` builds it."""


@dataclass(frozen=True)
class Evolution:
    """A mixture of Gaussians in (Teff, log g, [Fe/H]), to be conditioned on [Fe/H], with a broad floor.

    Args:
        weight: Weights of the components, shape (C,), any positive scale.
        mean: Means in (K, dex, dex), shape (C, 3).
        covariance: Covariances in the same units, shape (C, 3, 3).
        floor_weight: Share of the floor, in (0, 1).
        floor_mean: Teff in K and log g at the centre of the floor, shape (2,).
        floor_sigma: Width of the floor in K and dex, shape (2,).
        fe_h: Lowest and highest [Fe/H] in dex, shape (2,).

    Raises:
        ModelError: If shapes disagree, or a covariance is not positive definite.
    """

    weight: Array
    mean: Array
    covariance: Array
    floor_weight: float
    floor_mean: Array
    floor_sigma: Array
    fe_h: Array

    def __post_init__(self) -> None:
        """Refuse what is no mixture."""
        size = len(self.weight)
        if self.mean.shape != (size, 3) or self.covariance.shape != (size, 3, 3):
            raise ModelError(
                f"weight, mean and covariance must have shapes (C,), (C, 3) and (C, 3, 3), got "
                f"{self.weight.shape}, {self.mean.shape} and {self.covariance.shape}"
            )
        if not 0.0 < self.floor_weight < 1.0:
            raise ModelError(f"floor_weight must lie between 0 and 1, got {self.floor_weight}")
        if not (self.weight > 0).all() or not (np.linalg.eigvalsh(self.covariance) > 0).all():
            raise ModelError("every weight must be positive and every covariance positive definite")

    @property
    def slope(self) -> Array:
        """Change of each component's Teff and log g with [Fe/H], per dex, shape (C, 2)."""
        return self.covariance[:, :2, 2] / self.covariance[:, 2, 2, None]

    @property
    def inner(self) -> Array:
        """Covariance of each component's Teff and log g at a given [Fe/H], shape (C, 2, 2)."""
        return self.covariance[:, :2, :2] - self.slope[:, :, None] * self.covariance[:, None, 2, :2]

    def shares(self, fe_h: Array) -> Array:
        """How many stars each component has at [Fe/H] (N,), shape (N, C), on a scale of its own for every star."""
        variance = self.covariance[:, 2, 2]
        distance = (fe_h[:, None] - self.mean[:, 2]) / np.sqrt(variance)
        return self.weight / np.sqrt(variance) * np.exp(-0.5 * distance**2)

    def draw(self, fe_h: Array, shares: Array, uniform: Array, blur: Array) -> Array:
        """Teff in K and log g of stars, shape (N, 2).

        Args:
            fe_h: dex, shape (N,).
            shares: Of the components, shape (N, C), with a sum of 1 for every star; the floor has its own beside them.
            uniform: Numbers in (0, 1), shape (N, 3): for the component, and one for each label.
            blur: Covariance that is added to every component, shape (2, 2), K and dex.
        """
        inside = (1.0 - self.floor_weight) * shares
        chosen = (np.cumsum(inside, axis=1) < uniform[:, :1]).sum(axis=1)
        normal = ndtri(uniform[:, 1:])
        floor = self.floor_mean + self.floor_sigma * normal
        known, component = chosen < len(self.weight), np.minimum(chosen, len(self.weight) - 1)
        centre = self.mean[component, :2]
        centre = centre + self.slope[component] * (fe_h - self.mean[component, 2])[:, None]
        width = np.linalg.cholesky(self.inner + blur)[component]
        return np.where(known[:, None], centre + np.einsum("nij,nj->ni", width, normal), floor)


def read_evolution(path: str | Path = DEFAULT) -> Evolution:
    """Read the mixture from its JSON file; the one that comes with the package if no file is named.

    Raises:
        ModelError: If the file cannot be read or is not such a mixture.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot read the stellar-evolution prior ({error})") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise ModelError(
            f"{path}: format is {found!r}, expected {FORMAT!r}; build it with grids/evolution_prior"
        )
    try:
        return _from_content(content)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: incomplete stellar-evolution prior ({error!r}); build it again") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}; build it again") from error


def _from_content(content: dict[str, Any]) -> Evolution:
    floor = content["floor"]
    weight, mean, covariance, fe_h = (
        np.asarray(content[name], dtype=np.float64) for name in ("weight", "mean", "covariance", "fe_h")
    )
    return Evolution(
        weight=weight,
        mean=mean,
        covariance=covariance,
        floor_weight=float(floor["weight"]),
        floor_mean=np.asarray(floor["mean"], dtype=np.float64),
        floor_sigma=np.asarray(floor["sigma"], dtype=np.float64),
        fe_h=fe_h,
    )
