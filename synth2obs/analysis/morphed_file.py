"""Morphed spectra of many stars into one file, some at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.flags import meaning
from synth2obs.analysis.morph import Morphed
from synth2obs.io.blocks import Columns, write_blocks

SPECTRA = ("flux", "flux_theory", "gap", "gap_error")
"""Fields of `Morphed` with a value for every pixel."""


@dataclass
class Written:
    """What a file of morphed spectra holds, but for the spectra.

    Args:
        pixels: Of every spectrum.
        flags: Shape (N,).
        outside: Names of the labels outside the grid, for every star.
        labels: Those that were used, shape (N,) each.
    """

    pixels: int = 0
    flags: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    outside: tuple[tuple[str, ...], ...] = ()
    labels: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def add(self, part: Morphed) -> None:
        """Remember what further stars are."""
        self.pixels = part.flux.shape[1]
        self.flags = np.concatenate([self.flags, part.flags])
        self.outside += part.outside
        self.labels = {
            name: np.concatenate([self.labels.get(name, values[:0]), values])
            for name, values in part.labels.items()
        }


def write_batches(batches: Iterable[Morphed], count: int, out: Path, emulator_error: bool = False) -> Written:
    """Write spectra as they are made, whole or not at all.

    Args:
        batches: Of `morph_batches`.
        count: Stars of all together.
        out: HDF5 file.
        emulator_error: Write that, too.

    Raises:
        DataError: As the batches do.
        OutputError: If it cannot be written.
    """
    written, parts = Written(), iter(batches)
    first = next(parts)
    about = {**first.about(), "meaning": meaning()}
    names = (*SPECTRA, *(["emulator_error"] if emulator_error else []))
    write_blocks(out, count, _blocks(first, parts, written, names), {"wavelength": first.wavelength}, about)
    return written


def _blocks(
    first: Morphed, others: Iterator[Morphed], written: Written, names: Sequence[str]
) -> Iterator[Columns]:
    part: Morphed | None = first
    while part is not None:
        written.add(part)
        yield {
            **{name: getattr(part, name) for name in names},
            "distance": part.distance,
            "latent": part.latent,
            "flags": part.flags,
            "outside": np.array([", ".join(labels) for labels in part.outside], dtype=str),
            **{f"labels/{name}": values for name, values in part.labels.items()},
        }
        # Its spectra are written: the next need their room.
        part = None
        part = next(others, None)
