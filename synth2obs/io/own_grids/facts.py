"""What a grid holds, for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import bands, log_step
from synth2obs.io.own_grids.join import open_source
from synth2obs.io.own_grids.part import GridPart

BINS = 12
"""Of a label's distribution."""


@dataclass(frozen=True, kw_only=True)
class LabelFacts:
    """One label of a grid.

    Args:
        name, unit: As in the shard.
        lower, median, upper: In its unit.
        distinct: Number of different values.
        counts: Spectra in bins of equal width from lower to upper.
    """

    name: str
    unit: str
    lower: float
    median: float
    upper: float
    distinct: int
    counts: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class GridFacts:
    """What a grid holds.

    Args:
        path: Its file.
        bytes: Size of the file.
        domain: Its name.
        spectra, pixels: Their numbers.
        labels: In the order of the file.
        bands: First and last pixel of each, vacuum Å.
        step: Spacing in ln λ; None if it varies.
        resolving_power: Least and greatest λ / FWHM.
        medium: In which the wavelengths were given.
        flux_kind: ``normalized``, ``relative`` or ``absolute``.
        theory: Engine, line list, atmospheres, solar scale, in the words of its provenance.
        gradients: Labels with gradients, each with their number.
        licence, citation: Empty if nobody said it.
        sources: Files that it was made of.
    """

    path: Path
    bytes: int
    domain: str
    spectra: int
    pixels: int
    labels: tuple[LabelFacts, ...]
    bands: tuple[tuple[float, float], ...]
    step: float | None
    resolving_power: tuple[float, float]
    medium: str
    flux_kind: str
    theory: Mapping[str, str]
    gradients: Mapping[str, int]
    licence: str
    citation: tuple[str, ...]
    sources: int


def grid_facts(path: str | Path) -> GridFacts:
    """What a grid's shard, or a described grid, holds; its flux is not read.

    Raises:
        DataError: If it cannot be used as a grid.
    """
    part = open_source(path)
    table, provenance = part.table, part.table.provenance
    power = table.wavelength / table.line_spread.sigma / FWHM_PER_SIGMA
    edges = table.wavelength.astype(np.float64)
    return GridFacts(
        path=part.path,
        bytes=part.path.stat().st_size,
        domain=table.domain,
        spectra=len(table),
        pixels=len(edges),
        labels=tuple(_label(name, np.asarray(values)) for name, values in table.labels.items()),
        bands=tuple((float(edges[band][0]), float(edges[band][-1])) for band in bands(edges)),
        step=_step(table),
        resolving_power=(float(power.min()), float(power.max())),
        medium=f"air ({table.air_formula})" if table.air_formula else "vacuum",
        flux_kind=table.flux_kind,
        theory=_theory(provenance),
        gradients=_gradients(part),
        licence=str(provenance.get("licence", "")),
        citation=tuple(map(str, provenance.get("citation", []))),
        sources=sum(_files(one) for one in provenance.get("parts", [provenance])),
    )


def _label(name: str, values: NDArray[np.float64]) -> LabelFacts:
    lower, median, upper = (float(value) for value in np.quantile(values, [0.0, 0.5, 1.0]))
    return LabelFacts(
        name=name,
        unit=unit_of(name),
        lower=lower,
        median=median,
        upper=upper,
        distinct=len(np.unique(values)),
        counts=np.histogram(values, BINS, (lower, upper) if upper > lower else None)[0],
    )


def _step(table: Spectra) -> float | None:
    try:
        return log_step(table.wavelength.astype(np.float64))
    except DataError:
        return None


def _theory(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Texts about how the spectra were computed."""
    theory = provenance.get("theory", {})
    return {str(key): str(value) for key, value in theory.items()} if isinstance(theory, Mapping) else {}


def _gradients(part: GridPart) -> dict[str, int]:
    if part.gradients is None:
        return {}
    return dict.fromkeys(part.gradients.steps, len(part.gradients.index))


def _files(provenance: Mapping[str, Any]) -> int:
    found = provenance.get("sources", {})
    return int(found.get("files", 0)) if isinstance(found, Mapping) else 0
