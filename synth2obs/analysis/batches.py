"""Morphs of more stars than fit into memory, some at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.morph_labels import (
    Stars,
    as_mapping,
    label_batches,
    morph_stars,
    refuse_both,
    require_pixels,
    stars_of,
)
from synth2obs.analysis.morphed_file import Written, write_batches
from synth2obs.analysis.observed import as_spectra
from synth2obs.analysis.per_star import velocities, whole
from synth2obs.analysis.telescopes import morph_spectra
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard, row_count
from synth2obs.models.bridge import Bridge

FEWEST = 64
"""Stars below which a batch is refused: so many are computed at once in any case."""


class Batches:
    """An iterator over morphs of all stars in their order; `len` is the number of stars.

    Args:
        parts: The morphs.
        stars: Of all together.
    """

    def __init__(self, parts: Iterator[Morphed], stars: int) -> None:
        self.parts, self.stars, self.taken = parts, stars, False

    def __len__(self) -> int:
        return self.stars

    def __iter__(self) -> Iterator[Morphed]:
        return self

    def __next__(self) -> Morphed:
        self.taken = True
        return next(self.parts)

    def write(self, path: str | Path, *, emulator_error: bool = False) -> Written:
        """Write all to one HDF5 file, whole or not at all.

        Args:
            path: File, ``.h5``: ``wavelength`` (P,), ``flux`` and the other fields of `Morphed`, ``labels/<name>``.
            emulator_error: Write that, too; it takes many times as long as the spectra.

        Returns:
            Flags, labels, and names of those outside the grid.

        Raises:
            DataError: If some are gone already.
            OutputError: If it cannot be written.
        """
        if self.taken:
            raise DataError(
                "some are taken already",
                field="batches",
                remedy="write them, or take them, of a new morph_batches",
            )
        return write_batches(self, self.stars, Path(path), emulator_error)


def batches_of(
    bridge: Bridge,
    survey: str,
    labels: Any,
    spectrum: Any,
    batch: int,
    *,
    instrument: Any,
    rv: ArrayLike | None,
    vsini: ArrayLike,
    vmac: ArrayLike,
    source: str | None,
    medium: str,
    force: bool,
) -> Batches:
    """Stars of `morph_batches`, checked before the first is computed.

    Raises:
        DataError: For what cannot be used.
        ModelError: For an unknown survey.
    """
    size = whole("batch", batch, FEWEST) // FEWEST * FEWEST
    refuse_both(labels, spectrum, vsini, vmac)
    require_pixels(survey, instrument)
    view = _view(bridge, survey, instrument, spectrum, source)
    if labels is not None:
        stars = stars_of(bridge, as_mapping(bridge, labels), 0.0 if rv is None else rv, vsini, vmac)
        return Batches(label_batches(view, stars, size), len(stars))
    seen = Observed.of(bridge, spectrum, source or survey, medium, force)
    return Batches(seen.batches(survey, rv, size), len(seen))


def _view(
    bridge: Bridge, survey: str, instrument: Any, spectrum: Any, source: str | None
) -> Callable[[Stars], Morphed]:
    """What gives the spectra of stars: a survey, or an instrument that need be none's."""
    if instrument is None:
        bridge.survey(survey)
        return partial(morph_stars, bridge, survey)
    from synth2obs.analysis.through_instrument import InstrumentView, refuse_spectrum

    refuse_spectrum(spectrum, source)
    return InstrumentView.of(bridge, instrument, survey)


@dataclass(frozen=True)
class Observed:
    """Spectra to be morphed: those of a shard are read when they are needed.

    Args:
        bridge: Trained.
        source: By which of its surveys they were observed.
        spectra: A table, or a shard's path.
        force: Take them even if they do not look like that survey's.
    """

    bridge: Bridge
    source: str
    spectra: Spectra | Path
    force: bool

    @classmethod
    def of(cls, bridge: Bridge, spectra: Any, source: str, medium: str, force: bool) -> "Observed":
        """Spectra in whatever form, checked.

        Raises:
            DataError: If they cannot be used.
            ModelError: For an unknown survey.
        """
        bridge.survey(source)
        if isinstance(spectra, str | Path):
            return cls(bridge, source, resolve(spectra), force)
        return cls(bridge, source, as_spectra(bridge, spectra, source, medium, force=force), force)

    def __len__(self) -> int:
        return row_count(self.spectra) if isinstance(self.spectra, Path) else len(self.spectra)

    def batches(self, survey: str, rv: ArrayLike | None, batch: int) -> Iterator[Morphed]:
        """What another survey sees of them, ``batch`` at a time; ``rv`` in km/s, one value or one a star."""
        count = len(self)
        velocity = None if rv is None else velocities(rv, count).numpy()
        rows = (slice(first, min(first + batch, count)) for first in range(0, count, batch))
        return (self._morphed(some, survey, velocity) for some in rows)

    def _morphed(self, rows: slice, survey: str, rv: NDArray[np.float64] | None) -> Morphed:
        own = None if rv is None else rv[rows]
        return morph_spectra(self.bridge, self._rows(rows), self.source, survey, own)

    def _rows(self, rows: slice) -> Spectra:
        if isinstance(self.spectra, Path):
            part = read_shard(self.spectra, rows)
            return as_spectra(self.bridge, part, self.source, force=self.force)
        return self.spectra.take(np.arange(rows.start, rows.stop))
