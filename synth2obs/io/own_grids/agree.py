"""Which sources of spectra go together in one grid."""

from collections.abc import Sequence

import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.label_rules import refuse_twins
from synth2obs.io.own_grids.part import GridPart

SAME = 1e-9
"""Relative difference of wavelengths that are the same: 0.3 m/s."""

SAME_WIDTH = 1e-6
"""That of line spreads."""


def refuse_differences(parts: Sequence[GridPart]) -> None:
    """Refuse sources that do not go together.

    Raises:
        DataError: Naming the source that differs from the first, in what, and what to do.
    """
    for part in parts[1:]:
        _refuse_pixels(parts[0], part)
        _refuse_meaning(parts[0], part)
    _refuse_twins(parts)


def _refuse_pixels(first: GridPart, part: GridPart) -> None:
    mine, other = part.table.wavelength, first.table.wavelength
    if mine.shape != other.shape or not np.allclose(mine, other, rtol=SAME, atol=0):
        raise DataError(
            f"{_range(part)} are not the pixels of {first.path.name}: {_range(first)}",
            path=part.path,
            field="wavelength",
            remedy="give both descriptions the same [output]",
        )
    if not np.array_equal(part.table.segment, first.table.segment):
        raise DataError(
            f"differs from that of {first.path.name}",
            path=part.path,
            field="segment",
            remedy="give both descriptions the same [output] bands",
        )


def _refuse_meaning(first: GridPart, part: GridPart) -> None:
    _refuse_labels(first, part)
    for name in ("flux_kind", "frame"):
        mine, other = getattr(part.table, name), getattr(first.table, name)
        if mine != other:
            remedy = "join grids whose flux means the same"
            raise DataError(
                f"is {mine}, {first.path.name} has {other}", path=part.path, field=name, remedy=remedy
            )
    if not _same_spread(first, part):
        raise DataError(
            f"differs from that of {first.path.name}",
            path=part.path,
            field="lsf/sigma",
            remedy="broaden all sources to the same resolving power",
        )


def _refuse_labels(first: GridPart, part: GridPart) -> None:
    only = sorted(set(part.table.labels) ^ set(first.table.labels))
    if only:
        raise DataError(
            f"{', '.join(only)} stand in one source, not in {first.path.name} and {part.path.name}",
            path=part.path,
            field="labels",
            remedy="describe the same labels in all sources",
        )


def _same_spread(first: GridPart, part: GridPart) -> bool:
    mine, other = part.table.line_spread, first.table.line_spread
    shapes = [(one.hermite is None, one.kernel is None) for one in (mine, other)]
    return shapes[0] == shapes[1] and np.allclose(
        mine.usual.sigma, other.usual.sigma, rtol=SAME_WIDTH, atol=0
    )


def _refuse_twins(parts: Sequence[GridPart]) -> None:
    names = np.concatenate([part.table.id for part in parts])
    unique, counts = np.unique(names, return_counts=True)
    if (counts > 1).any():
        raise DataError(
            f"{unique[counts > 1][0]!r} stands in two sources",
            path=parts[-1].path,
            field="id",
            remedy="give every description its own name, and no shard twice",
        )
    labels = parts[0].table.labels
    joined = {name: np.concatenate([part.table.labels[name] for part in parts]) for name in labels}
    refuse_twins(joined, names, parts[-1].path)


def _range(part: GridPart) -> str:
    wavelength = part.table.wavelength
    return f"{len(wavelength)} from {wavelength[0]:.3f} to {wavelength[-1]:.3f} Å"
