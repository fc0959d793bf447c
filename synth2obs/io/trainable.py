"""What a grid has to be so that a decoder can learn from it, beyond what makes a shard valid.

`synth2obs check` names what is found here, and a training refuses it.
"""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import log_step
from synth2obs.io.shard.fields import PROFILES
from synth2obs.io.shard.layout import ERROR_SUFFIX
from synth2obs.io.shard.rows import open_valid
from synth2obs.io.shard.rules import Problem

NEEDED = ("teff", "logg", "fe_h")
"""Labels that every grid has: the priors, the gap and the comparison with the literature are told in them."""

FEWEST = 12
"""Spectra without which there is nothing to learn from and nothing to hold out."""

PER_LABEL = 2
"""Spectra a label, at least."""

SAME_WIDTH = 1e-6
"""Relative difference of line spreads that are the same."""

SAMPLING = "give the description an [output] and join again: `synth2obs grid join` samples uniformly in ln λ"


def grid_problems(path: str | Path) -> list[Problem]:
    """Why no training could start from a valid grid; nothing for a survey. The flux is not read.

    Raises:
        DataError: If the shard is not valid.
    """
    with open_valid(path) as file:
        if file.attrs["kind"] != "grid":
            return []
        return [*_labels(file), *_sampling(file), *_widths(file)]


def _labels(file: h5py.File) -> Iterator[Problem]:
    names = [name for name in file["labels"] if not name.endswith(ERROR_SUFFIX)]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        remedy = f"add {', '.join(missing)} to [labels] of the description, and join again"
        yield Problem("labels", f"a grid needs labels {', '.join(NEEDED)}", remedy)
    for name in names:
        values = file[f"labels/{name}"][:]
        if np.ptp(values) == 0:
            remedy = "compute spectra over a range of it" if name in NEEDED else "leave the label out"
            found = f"is {values[0]:g} for every spectrum: what it does to them cannot be learned"
            yield Problem(f"labels/{name}", found, remedy)
    fewest = max(FEWEST, PER_LABEL * len(names))
    if len(file["id"]) < fewest:
        found = f"{len(file['id'])} spectra for {len(names)} labels, at least {fewest} are needed"
        yield Problem("flux", found, "compute more spectra, or leave out labels that do little")


def _sampling(file: h5py.File) -> Iterator[Problem]:
    if file["wavelength"].ndim != 1:
        yield Problem("wavelength", "differs from spectrum to spectrum", "give all spectra the same pixels")
        return
    try:
        log_step(file["wavelength"][:])
    except DataError as error:
        yield Problem("wavelength", str(error).partition(": ")[2].partition(";")[0], SAMPLING)


def _widths(file: h5py.File) -> Iterator[Problem]:
    """The decoder has one Gaussian line spread for all spectra."""
    used = np.unique(file["lsf/group"][:])
    sigma = file["lsf/sigma"][:][used]
    if not np.allclose(sigma, sigma[0], rtol=SAME_WIDTH, atol=0):
        yield Problem("lsf/sigma", "differs from spectrum to spectrum", "broaden all to one resolving power")
    for field in PROFILES:
        if field.name != "lsf/sigma" and field.name in file:
            yield Problem(field.name, "a grid's line spread is Gaussian", "broaden with a Gaussian")
