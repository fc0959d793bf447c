"""Isochrones of one library on its grid of metallicity, age and evolutionary point."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import file_sha256

COLUMNS = ("Teff", "log_g", "initial_mass")


def salaris(alpha_fe: float) -> float:
    """[M/H] - [Fe/H] of a mixture with [alpha/Fe] (Salaris, Chieffi & Straniero 1993, ApJ 414, 580)."""
    return float(np.log10(0.638 * 10.0**alpha_fe + 0.362))


@dataclass(frozen=True)
class Library:
    """A grid of isochrones.

    Args:
        m_h: Metallicities, shape (M,), dex.
        age: Ages, shape (A,), Gyr.
        points: Teff in K, log g and initial mass in Msun at each evolutionary point, shape (M, A, E, 3);
            NaN where an isochrone has no such point.
    """

    name: str
    m_h: NDArray[np.float64]
    age: NDArray[np.float64]
    points: NDArray[np.float64]

    @classmethod
    def read(
        cls, name: str, path: Path, sha256: str, last_phase: float | None, age: list[float]
    ) -> "Library":
        """Read a grid, check that it is the file of the recipe and keep ages within ``age`` in Gyr."""
        digest = file_sha256(path)
        if digest != sha256:
            raise ValueError(
                f"{path}: SHA-256 is {digest}, the recipe wants {sha256}; install the stated version"
            )
        with h5py.File(path) as file:
            columns = [str(column) for column in file.attrs["columns"]]
            values, length, offset = file["values"][:], file["lengths"][:], file["offsets"][:]
            m_h, gyr = file["feh_values"][:], 10.0 ** (file["age_values"][:] - 9.0)
            size = len(file["eep_values"])
        kept = values[:, [columns.index(column) for column in COLUMNS]].astype(float)
        if last_phase is not None:
            kept[~(values[:, columns.index("phase")] <= last_phase)] = np.nan
        dense = np.full((len(length), size, len(COLUMNS)), np.nan)
        stop = np.cumsum(length)
        for row, (start, n, end) in enumerate(zip(offset, length, stop, strict=True)):
            dense[row, start : start + n] = kept[end - n : end]
        wanted = (gyr >= age[0] * 0.999) & (gyr <= age[1])
        return cls(name, m_h, gyr[wanted], dense.reshape(len(m_h), len(gyr), size, -1)[:, wanted])

    def at(self, m_h: float) -> NDArray[np.float64] | None:
        """All isochrones at a metallicity, shape (A, E, 3), linear in [M/H]; None outside the library."""
        if not self.m_h[0] <= m_h <= self.m_h[-1]:
            return None
        upper = int(np.clip(np.searchsorted(self.m_h, m_h), 1, len(self.m_h) - 1))
        part = (m_h - self.m_h[upper - 1]) / (self.m_h[upper] - self.m_h[upper - 1])
        return (1.0 - part) * self.points[upper - 1] + part * self.points[upper]


def segments(points: NDArray[np.float64], parts: int = 4) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points along isochrones and the stars they stand for, for an initial mass function flat in log mass.

    Args:
        points: Isochrones, shape (A, E, 3).
        parts: Number of points into which the way from one evolutionary point to the next is divided.

    Returns:
        Teff in K and log g, shape (A, (E - 1) * parts, 2), and weights d ln(mass), shape
        (A, (E - 1) * parts), zero where there is no star.
    """
    start, end = points[:, :-1], points[:, 1:]
    mass = np.maximum(0.0, np.log(end[..., 2] / start[..., 2]))
    place = (np.arange(parts) + 0.5) / parts
    labels = start[:, :, None, :2] + place[:, None] * (end - start)[:, :, None, :2]
    weight = np.repeat(np.nan_to_num(mass)[:, :, None] / parts, parts, axis=2)
    return np.nan_to_num(labels.reshape(len(points), -1, 2)), weight.reshape(len(points), -1)
