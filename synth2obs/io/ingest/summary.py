"""What a shard holds, for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.io.ingest.parts import Skipped
from synth2obs.io.shard.layout import CHUNK_ROWS, ERROR_SUFFIX, open_shard

FILES = ("file", "object", "sha256")
"""Facts that say where a spectrum comes from."""


@dataclass(frozen=True)
class Summary:
    """What a shard holds.

    Args:
        path: The shard.
        domain: SurveyReader.
        stars, pixels: Shape of its flux.
        wavelength: Shortest and longest, vacuum Å.
        snr: 5th, 50th and 95th percentile of the stars' signal to noise per pixel; NaN if unknown.
        masked: Fraction of pixels with inverse variance 0.
        labelled: Stars with a known value, for each label.
        velocity: 5th, 50th and 95th percentile of the published velocities in km/s; NaN if unknown.
        objects: Different objects.
        repeated: Objects with more than one spectrum.
        carried: What else it says of every spectrum, by name; without the files.
        skipped: Files and spectra that are not in it, and why.
    """

    path: Path
    domain: str
    stars: int
    pixels: int
    wavelength: tuple[float, float]
    snr: tuple[float, float, float]
    masked: float
    labelled: dict[str, int]
    velocity: tuple[float, float, float] = (np.nan, np.nan, np.nan)
    objects: int = 0
    repeated: int = 0
    carried: tuple[str, ...] = ()
    skipped: list[Skipped] = field(default_factory=list)

    def __str__(self) -> str:
        """Some lines for people, with a table of what was left out."""
        labels = ", ".join(f"{name} {count}" for name, count in self.labelled.items()) or "none"
        lines = [
            f"{self.path}: {self.stars} spectra of {self.domain}, {self.pixels} pixels",
            f"wavelength  {self.wavelength[0]:.2f} to {self.wavelength[1]:.2f} Å (vacuum)",
            "S/N         {:.0f} (5 %), {:.0f} (median), {:.0f} (95 %) per pixel".format(*self.snr),
            f"masked      {100 * self.masked:.2f} % of the pixels",
            "velocity    {:.1f} (5 %), {:.1f} (median), {:.1f} (95 %) km/s".format(*self.velocity),
            f"objects     {self.objects}, {self.repeated} of them with several spectra",
            f"labels      {labels}",
        ]
        if self.carried:
            lines.append(f"carried     {', '.join(self.carried)}")
        if self.skipped:
            width = max(len(one.file) for one in self.skipped)
            lines.append(f"skipped     {len(self.skipped)}:")
            lines += [f"  {one.file:<{width}}  {one.reason}" for one in self.skipped]
        return "\n".join(lines)


def summarize(path: Path, skipped: Sequence[Skipped] = ()) -> Summary:
    """What a shard holds, read in blocks.

    Args:
        path: A valid shard.
        skipped: What is not in it.
    """
    with open_shard(path) as file:
        stars, pixels = file["flux"].shape
        ends = [(float(block.min()), float(block.max())) for block in _blocks(file["wavelength"])]
        masked = sum(int((block == 0).sum()) for block in _blocks(file["ivar"])) if "ivar" in file else 0
        native = file.get("native", {})
        names = native["object"][:] if "object" in native else file["id"][:]
        counts = np.unique(names, return_counts=True)[1]
        return Summary(
            path=path,
            domain=str(file.attrs["domain"]),
            stars=stars,
            pixels=pixels,
            wavelength=(min(low for low, _ in ends), max(high for _, high in ends)),
            snr=_percentiles(file["snr"][:]),
            masked=masked / (stars * pixels),
            labelled=_labelled(file),
            velocity=_percentiles(native["rv"][:] if "rv" in native else file["rv"][:]),
            objects=len(counts),
            repeated=int((counts > 1).sum()),
            carried=tuple(name for name in native if name not in FILES),
            skipped=list(skipped),
        )


def _blocks(dataset: h5py.Dataset) -> Iterator[NDArray[Any]]:
    return (dataset[first : first + CHUNK_ROWS] for first in range(0, len(dataset), CHUNK_ROWS))


def _labelled(file: h5py.File) -> dict[str, int]:
    """Stars with a known value, for each label."""
    labels = {n: column for n, column in file.get("labels", {}).items() if not n.endswith(ERROR_SUFFIX)}
    return {name: int(np.isfinite(column[:]).sum()) for name, column in labels.items()}


def _percentiles(values: Any) -> tuple[float, float, float]:
    known = values[np.isfinite(values)]
    if not len(known):
        return (np.nan,) * 3
    low, middle, high = (float(value) for value in np.percentile(known, [5, 50, 95]))
    return low, middle, high
