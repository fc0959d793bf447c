"""Model atmospheres: a MARCS grid, interpolated to any Teff, log g and [Fe/H] inside it."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError

Array = NDArray[np.float64]

AXES = ("teff", "logg", "fe_h")
COLUMNS = ("lg_tau_rosseland", "lg_tau_5000", "depth", "temperature", "electron_pressure", "gas_pressure")
"""First columns of a MARCS model's table, after the number of the layer; cgs units, optical depths in dex."""

LOGARITHMIC = ("electron_pressure", "gas_pressure", "density", "column_mass")
STRUCTURE = ("lg_tau_rosseland", "lg_tau_5000", "temperature", *LOGARITHMIC)


@dataclass(frozen=True)
class Atmosphere:
    """A model atmosphere, from the outside in.

    Args:
        teff: K.
        logg: dex(cm s⁻²).
        fe_h: dex.
        layers: Columns of shape (D,): optical depths in dex, ``temperature`` in K, and the logarithms of
            ``electron_pressure`` and ``gas_pressure`` (dyn cm⁻²), ``density`` (g cm⁻³), ``column_mass`` (g cm⁻²).
    """

    teff: float
    logg: float
    fe_h: float
    layers: Mapping[str, Array]


@dataclass(frozen=True)
class AtmosphereGrid:
    """Models at every combination of Teff, log g and [Fe/H], on one scale of Rosseland optical depth.

    Args:
        axes: Values along each of `AXES`.
        values: `STRUCTURE` of every model, shape (T, G, F, D, len(STRUCTURE)).
    """

    axes: tuple[Array, Array, Array]
    values: Array

    def at(self, labels: Mapping[str, float]) -> Atmosphere:
        """The atmosphere of a star, each layer interpolated linearly in Teff, log g and [Fe/H].

        Raises:
            DataError: If a label lies outside the grid of models.
        """
        point = [labels[name] for name in AXES]
        places = [_place(*item) for item in zip(AXES, self.axes, point, strict=True)]
        block = self.values[tuple(slice(low, low + 2) for low, _ in places)]
        for _, fraction in places:
            block = (1.0 - fraction) * block[0] + fraction * block[1]
        teff, logg, fe_h = point
        return Atmosphere(teff, logg, fe_h, dict(zip(STRUCTURE, block.T, strict=True)))


def _place(name: str, axis: Array, value: float) -> tuple[int, float]:
    """Index of the model below a value, and how far the value lies towards the next one."""
    if not axis[0] <= value <= axis[-1]:
        raise DataError(
            f"{value:g} lies outside the model atmospheres, {axis[0]:g} to {axis[-1]:g}",
            field=name,
            remedy="narrow the range of this label in the recipe",
        )
    low = min(max(int(np.searchsorted(axis, value)) - 1, 0), len(axis) - 2)
    return low, float((value - axis[low]) / (axis[low + 1] - axis[low]))


@lru_cache(maxsize=2)
def load_atmospheres(path: Path) -> AtmosphereGrid:
    """The grid that `convert_marcs` has written.

    Raises:
        DataError: If the file is missing or damaged.
    """
    try:
        with np.load(BytesIO(path.read_bytes())) as content:
            return AtmosphereGrid(tuple(content[name] for name in AXES), content["values"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise DataError(
            f"cannot be read ({error})",
            path=path,
            remedy="install the engine again: synth2obs grid engines --install",
        ) from error


def convert_marcs(text: Path, target: Path) -> None:
    """Write the MARCS models of a compressed text, one after another, as one array.

    Models that stand for a chemistry that was not computed are taken as the text gives them.

    Raises:
        DataError: If the models do not fill a grid in Teff, log g and [Fe/H].
    """
    lines = gzip.decompress(text.read_bytes()).decode().split("\n")
    starts = [i for i, line in enumerate(lines) if "Teff [K]" in line]
    models = [_read(lines, start) for start in starts]
    points = np.array([point for point, _ in models])
    axes = [np.unique(column) for column in points.T]
    shape = tuple(len(axis) for axis in axes)
    if len(models) != np.prod(shape):
        raise DataError(
            f"holds {len(models)} models, and a full grid of {shape} would be {np.prod(shape)}",
            path=text,
            remedy="download it again",
        )
    order = np.lexsort(points.T[::-1])
    values = np.array([models[i][1] for i in order])
    teff, logg, fe_h = axes
    values = values.reshape(*shape, *values[0].shape)
    np.savez_compressed(target, teff=teff, logg=logg, fe_h=fe_h, values=values)


def _read(lines: list[str], start: int) -> tuple[tuple[float, float, float], Array]:
    """Labels and `STRUCTURE` of one model, of which ``start`` is the line with its Teff."""
    teff = float(lines[start].split()[0])
    logg = round(float(np.log10(float(lines[start + 2].split()[0]))), 2)
    fe_h = float(lines[start + 5].split()[0])
    header = next(i for i in range(start, start + 60) if "Number of depth points" in lines[i])
    layers = int(lines[header].split()[0])
    first, second = header + 3, header + 4 + layers
    table = np.array([line.split()[1:7] for line in lines[first : first + layers]], dtype=np.float64)
    columns = dict(zip(COLUMNS, table.T, strict=True))
    # Convective velocity and flux may touch, so the column mass is counted from the end.
    rows = [line.split() for line in lines[second : second + layers]]
    columns["density"] = np.array([row[3] for row in rows], dtype=np.float64)
    columns["column_mass"] = np.array([row[-1] for row in rows], dtype=np.float64)
    for name in LOGARITHMIC:
        columns[name] = np.log10(columns[name])
    return (teff, logg, fe_h), np.stack([columns[name] for name in STRUCTURE], axis=1)
