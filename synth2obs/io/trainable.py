"""What a grid has to be so that a decoder can learn from it, beyond what makes a shard valid.

`synth2obs check` names what is found here, and a training refuses it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.labels import usual_name
from synth2obs.core.names import label_suggestion
from synth2obs.core.spectra import Spectra
from synth2obs.core.told import LOG
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

LEVEL = (0.2, 2.0)
"""Within which the median of a grid's continuum-normalised flux lies."""

ROW_LEVEL = (0.02, 2.0)
"""The same of one spectrum: bands of molecules take most of the light of the coolest stars."""

LOOKED_AT = 200
"""Spectra, spread over the grid, whose level is looked at."""

NORMALIZE = (
    'divide each spectrum by its continuum and say flux_kind = "normalized"; in a description of a grid, name its '
    "`continuum` or add a section [normalize]"
)

SAMPLING = "give the description an [output] and join again: `synth2obs grid join` samples uniformly in ln λ"


def grid_problems(path: str | Path) -> list[Problem]:
    """Why no training could start from a valid grid; nothing for a survey. Of the flux some spectra are read.

    Raises:
        DataError: If the shard is not valid.
    """
    with open_valid(path) as file:
        if file.attrs["kind"] != "grid":
            return []
        return [*_labels(file), *_sampling(file), *_widths(file), *_level(file)]


def with_usual_labels(spectra: Spectra) -> Spectra:
    """A grid with its labels by the project's names: [M/H] as ``fe_h``, [α/M] as ``alpha_fe``; what changes is logged.

    A name that is there already keeps its column.
    """
    new = _usual_names(list(spectra.labels))
    renamed = {old: name for old, name in new.items() if old != name}
    if not renamed:
        return spectra
    LOG.info("labels %s of the grid are taken as %s", ", ".join(renamed), ", ".join(renamed.values()))

    def under(columns: Mapping[str, Any]) -> dict[str, Any]:
        return {new.get(name, name): column for name, column in columns.items()}

    gradients = spectra.gradients
    if gradients is not None:
        gradients = replace(gradients, values=under(gradients.values), steps=under(gradients.steps))
    labels, errors = under(spectra.labels), under(spectra.label_errors)
    return replace(spectra, labels=labels, label_errors=errors, gradients=gradients)


def _usual_names(names: Sequence[str]) -> dict[str, str]:
    """The project's name of each label; of two that mean the same, the first has it, or the one that bears it."""
    taken, new = set(names), {}
    for name in names:
        usual = usual_name(name)
        new[name] = name if usual in taken else usual
        taken.add(new[name])
    return new


def _labels(file: h5py.File) -> Iterator[Problem]:
    names = [name for name in file["labels"] if not name.endswith(ERROR_SUFFIX)]
    usual = _usual_names(names).values()
    missing = [name for name in NEEDED if name not in usual]
    if missing:
        remedy = f"add {', '.join(missing)} to [labels] of the description, and join again"
        found = f"a grid needs labels {', '.join(NEEDED)}, it has {', '.join(names) or 'none'}"
        yield Problem("labels", found, _renamed(missing, names) or remedy)
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


def _renamed(missing: Sequence[str], names: Sequence[str]) -> str:
    """Which labels may be meant by others, if any may."""
    meant = {label_suggestion(name): name for name in names}
    return ", ".join(f"rename {meant[name]} to {name}" for name in missing if name in meant)


def _level(file: h5py.File) -> Iterator[Problem]:
    """The decoder learns a flux that is 1 in the continuum."""
    kind = str(file.attrs["flux_kind"])
    if kind != "normalized":
        yield Problem("flux_kind", f"is {kind!r}, and only a normalized grid can be trained on", NORMALIZE)
        return
    rows = np.unique(np.linspace(0, len(file["flux"]) - 1, LOOKED_AT).astype(int))
    levels = np.array([np.median(file["flux"][row]) for row in rows])
    bad = ~((levels >= ROW_LEVEL[0]) & (levels <= ROW_LEVEL[1]))
    middle = float(np.median(levels))
    if bad.any() or not LEVEL[0] <= middle <= LEVEL[1]:
        row = int(np.argmax(bad)) if bad.any() else int(np.argmin(np.abs(levels - middle)))
        found = (
            f"is 'normalized', but the median flux of spectrum {rows[row]} is {levels[row]:.3g}, far from 1"
        )
        yield Problem("flux_kind", found, NORMALIZE)


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
