"""Stellar labels: names, units and the range in which a grid knows them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.trends import usual

STELLAR = ("teff", "logg", "fe_h")
"""Labels that the others follow."""

UNITS = {"teff": "K", "logg": "dex(cm s-2)", "vmic": "km/s", "vmac": "km/s", "vsini": "km/s"}
"""Units of the labels that are not plain dex."""


ELEMENTS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
    "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
).split()
KNOWN = (*UNITS, "fe_h", "alpha_fe", *(f"{element.lower()}_fe" for element in ELEMENTS if element != "Fe"))
"""Every label of the project; abundances are [X/Fe]."""

OF_METALS = {
    "m_h": "fe_h",
    "mh": "fe_h",
    "feh": "fe_h",
    "a_m": "alpha_fe",
    "alpha_m": "alpha_fe",
    "a_fe": "alpha_fe",
}
"""Other names of labels that mean the same in a grid: [M/H] scales all metals, iron among them."""

PLAUSIBLE = {
    "teff": (1_000.0, 200_000.0),
    "logg": (-2.0, 10.0),
    "vmic": (0.0, 50.0),
    "vmac": (0.0, 300.0),
    "vsini": (0.0, 1_000.0),
}
"""Ranges in which a label can be, in its unit."""

DEX = (-10.0, 5.0)
"""That of an abundance."""


def unit_of(name: str) -> str:
    """The unit of a label; every abundance is in dex."""
    return UNITS.get(name, "dex")


def usual_name(name: str) -> str:
    """The project's name of a label: ``m_h`` is ``fe_h``, ``alpha_m`` is ``alpha_fe``, ``c_m`` is ``c_fe``."""
    relative_to_iron = f"{name.removesuffix('_m')}_fe"
    return OF_METALS.get(
        name, relative_to_iron if name.endswith("_m") and relative_to_iron in KNOWN else name
    )


def plausible(name: str) -> tuple[float, float]:
    """The range in which a label can be, in its unit."""
    return PLAUSIBLE.get(name, DEX)


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a grid, in order, with their range and their centre.

    Args:
        names: Label names, e.g. ``("teff", "logg", "fe_h", …)``.
        lower, upper: Range of the grid, in the labels' units, shape (K,) each.
        default: Value used for a label that a user leaves out, shape (K,).
    """

    names: tuple[str, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    default: NDArray[np.float64]

    @classmethod
    def from_values(cls, names: tuple[str, ...], values: NDArray[np.float64]) -> "LabelSpace":
        """The range of a table of labels, shape (N, K).

        Left-out abundances default to solar ([X/Fe] = 0), everything else to the middle.
        """
        lower, upper = values.min(axis=0), values.max(axis=0)
        middle = 0.5 * (lower + upper)
        solar = [name.endswith("_fe") or name == "fe_h" for name in names]
        default = np.where(solar, np.clip(0.0, lower, upper), middle)
        return cls(tuple(names), lower, upper, default)

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Column of a label.

        Raises:
            KeyError: If the grid does not have it; the message lists the labels it has.
        """
        if name not in self.names:
            raise KeyError(f"unknown label {name!r}; the grid has {', '.join(self.names)}")
        return self.names.index(name)

    def table(self, labels: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
        """Label columns, broadcast against each other, as a table of shape (N, K).

        What is left out follows Teff, log g and [Fe/H] as `trends.usual` says, within the grid's range; of these three,
        those left out have their default.

        Raises:
            KeyError: For an unknown label.
            ValueError: For a label that is not finite.
        """
        columns = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, float)) for v in labels.values()))
        rows = len(columns[0]) if columns else 1
        table = np.tile(self.default, (rows, 1))
        for name, column in zip(labels, columns, strict=True):
            if not np.all(np.isfinite(column)):
                raise ValueError(f"label {name!r} in {unit_of(name)} must be finite, got {column}")
            table[:, self.index(name)] = column
        self._fill(table, set(labels))
        return table

    def _fill(self, table: NDArray[np.float64], given: set[str]) -> None:
        """Set columns that were not given to what is usual."""
        if not set(STELLAR) <= set(self.names):
            return
        # What is usual at labels of no star only has to be a number.
        star = [np.clip(table[:, self.index(name)], *plausible(name)) for name in STELLAR]
        for column, name in enumerate(self.names):
            if name not in given and name not in STELLAR:
                table[:, column] = np.clip(usual(name, *star), self.lower[column], self.upper[column])

    def outside(self, table: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each label of each star lies outside the grid, shape (N, K)."""
        return (table < self.lower) | (table > self.upper)


def labels_in_words(labels: Mapping[str, NDArray[np.float64]]) -> str:
    """Labels of some stars in one line, e.g. ``teff 5777 K, logg 4.44, vmic 1.07 km/s, other [X/Fe] solar``.

    Args:
        labels: By name, shape (N,) each; several values are written as their range.
    """
    solar = [name for name, values in labels.items() if name.endswith("_fe") and not np.any(values)]
    named = [
        f"{name} {_span(values)}{' ' + UNITS[name] if name in ('teff', 'vmic') else ''}"
        for name, values in labels.items()
        if name not in solar
    ]
    return ", ".join([*named, *(["other [X/Fe] solar"] if solar else [])])


def _span(values: NDArray[np.float64]) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
