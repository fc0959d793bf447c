"""From a survey's native files to a checked shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth2obs.core.spectra import Spectra
from synth2obs.io.shard import write_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.images import Progress


@dataclass(frozen=True)
class Summary:
    """What a shard holds.

    Args:
        path: The shard.
        domain: Survey.
        stars, pixels: Shape of its flux.
        wavelength: Shortest and longest, vacuum Å.
        snr: 5th, 50th and 95th percentile of the stars' signal to noise per pixel; NaN if unknown.
        masked: Fraction of pixels with inverse variance 0.
        labelled: Stars with a known value, for each label.
    """

    path: Path
    domain: str
    stars: int
    pixels: int
    wavelength: tuple[float, float]
    snr: tuple[float, float, float]
    masked: float
    labelled: dict[str, int]

    def __str__(self) -> str:
        """A few lines for people."""
        labels = ", ".join(f"{name} {count}" for name, count in self.labelled.items()) or "none"
        return "\n".join(
            [
                f"{self.path}: {self.stars} spectra of {self.domain}, {self.pixels} pixels",
                f"wavelength  {self.wavelength[0]:.2f} to {self.wavelength[1]:.2f} Å (vacuum)",
                "S/N         {:.0f} (5 %), {:.0f} (median), {:.0f} (95 %) per pixel".format(*self.snr),
                f"masked      {100 * self.masked:.2f} % of the pixels",
                f"labels      {labels}",
            ]
        )


def ingest(
    survey: str,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    parameters: str | Path | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Read a survey's native files and write them as a shard.

    Args:
        survey: A key of ``io.surveys.READERS``.
        files: The survey's own files.
        out: Shard to write.
        parameters: Table of labels, for the surveys that have one (MILES).
        progress: Called with files read and files in all.

    Raises:
        DataError: For an unknown survey, a file that cannot be read, or spectra that break a rule.
        OutputError: If the shard cannot be written.
    """
    options = {} if parameters is None else {"parameters": parameters}
    spectra = read_survey(survey, files, progress=progress, **options)
    return summarize(spectra, write_shard(spectra, out))


def summarize(spectra: Spectra, path: Path) -> Summary:
    """What a table of spectra holds, for people."""
    known = spectra.snr[np.isfinite(spectra.snr)]
    low, middle, high = np.percentile(known, [5, 50, 95]) if len(known) else (np.nan,) * 3
    return Summary(
        path=path,
        domain=spectra.domain,
        stars=len(spectra),
        pixels=spectra.flux.shape[1],
        wavelength=(float(spectra.wavelength.min()), float(spectra.wavelength.max())),
        snr=(float(low), float(middle), float(high)),
        masked=0.0 if spectra.ivar is None else float((spectra.ivar == 0).mean()),
        labelled={name: int(np.isfinite(column).sum()) for name, column in spectra.labels.items()},
    )
