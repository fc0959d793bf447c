"""The rules about what stands in a shard, apart from the flux."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import C_KMS
from synth2obs.core.labels import unit_of
from synth2obs.core.names import name_problem
from synth2obs.io.shard.fields import COLUMNS
from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.line_spread import bound_problems, profile_problems, width_problems
from synth2obs.io.shard.rules import Problem, fields, guarded
from synth2obs.io.shard.structure import attribute_problems, missing_problems, shape_problems

SHORTEST, LONGEST = 2000.0, 1e6
"""Wavelengths in Å that the format holds."""


def header_problems(file: h5py.File) -> list[Problem]:
    """Everything wrong that shows without reading the flux."""
    problems = [*attribute_problems(file), *missing_problems(file)]
    if "flux" not in fields(problems):
        problems += shape_problems(file)
    for rule, needs in RULES.items():
        if not fields(problems) & set(needs):
            problems += guarded(rule(file), needs[0])
    return problems


def _domain(file: h5py.File) -> Iterator[Problem]:
    name = str(file.attrs.get("domain", ""))
    if file.attrs.get("kind") == "survey" and (wrong := name_problem(name)):
        yield Problem("domain", f"{name!r} cannot name a survey", wrong)


def _wavelength(file: h5py.File) -> Iterator[Problem]:
    dataset, segment = file["wavelength"], file["segment"][:]
    if dataset.ndim == 1:
        yield from _wavelength_rows(dataset[:][None], segment)
    for first in range(0, len(dataset) if dataset.ndim > 1 else 0, CHUNK_ROWS):
        found = list(_wavelength_rows(dataset[first : first + CHUNK_ROWS], segment))
        yield from found
        if found:
            break
    changes = int((np.diff(segment) != 0).sum()) + 1
    if changes != len(np.unique(segment)):
        yield Problem("segment", "a segment is not contiguous", "keep the pixels of one detector together")


def _wavelength_rows(wavelength: NDArray[Any], segment: NDArray[Any]) -> Iterator[Problem]:
    if not np.isfinite(wavelength).all():
        yield Problem("wavelength", "NaN or infinite", "every pixel needs a wavelength, bad ones too")
        return
    low, high = float(wavelength.min()), float(wavelength.max())
    if not SHORTEST <= low <= high <= LONGEST:
        yield Problem("wavelength", f"runs from {low:g} to {high:g}, not in Å", _unit_remedy(low, high))
    backwards = (np.diff(wavelength, axis=-1) <= 0).any(axis=0) & (np.diff(segment) == 0)
    if backwards.any():
        pixel = int(np.argmax(backwards))
        where = f"does not increase at pixel {pixel + 1} of segment {segment[pixel]}"
        yield Problem("wavelength", where, "sort the pixels")


def _unit_remedy(low: float, high: float) -> str:
    if high < 4.0:
        return "it looks like µm (multiply by 10000) or log10 of Å"
    if high < 15.0:
        return "it looks like ln λ (use exp) or µm (multiply by 10000)"
    if low > 0 and high < 10 * SHORTEST:
        return "it looks like nm: multiply by 10"
    return f"give vacuum wavelengths between {SHORTEST:g} and {LONGEST:g} Å"


def _identity(file: h5py.File) -> Iterator[Problem]:
    names, counts = np.unique(file["id"].asstr("utf-8")[:].astype(str), return_counts=True)
    if (counts > 1).any():
        name = str(names[counts > 1][0])
        yield Problem("id", f"{name!r} occurs {counts.max()} times", "give every spectrum its own name")
    if len(names) and not names[0]:
        yield Problem("id", "is empty for a star", "give every spectrum a name")


def _columns(file: h5py.File) -> Iterator[Problem]:
    for name in COLUMNS:
        values = file[name][:]
        if np.isinf(values).any():
            yield Problem(name, "is infinite for a star", "use NaN for unknown")
    if (np.abs(file["rv"][:]) >= C_KMS).any():
        yield Problem("rv", "is faster than light", "give km/s")
    for name in ("rv_error", "snr"):
        if (file[name][:] < 0).any():
            yield Problem(name, "is negative for a star", "use NaN for unknown")


def _native(file: h5py.File) -> Iterator[Problem]:
    group = file.get("native", {})
    if isinstance(group, h5py.Dataset):
        yield Problem("native", "is a dataset", "make it a group with one dataset a fact")
        return
    for name in group:
        if h5py.check_string_dtype(group[name].dtype) is not None:
            group[name].asstr("utf-8")[:]
        elif group[name].dtype.kind not in "fiu":
            yield Problem(
                f"native/{name}", f"has type {group[name].dtype}", "it must be numbers or UTF-8 text"
            )


def _labels(file: h5py.File) -> Iterator[Problem]:
    is_grid = file.attrs.get("kind") == "grid"
    group = file.get("labels", {})
    if isinstance(group, h5py.Dataset):
        yield Problem("labels", "is a dataset", "make it a group with one dataset a label")
        return
    for name in group:
        yield from guarded(_label(group[name], name, is_grid), f"labels/{name}")


def _label(column: h5py.Dataset, name: str, is_grid: bool) -> Iterator[Problem]:
    values, unit = column[:], column.attrs.get("unit")
    wanted = unit_of(name.removesuffix("_error"))
    if unit != wanted:
        yield Problem(f"labels/{name}", f"has unit {unit!r}", f"convert it to {wanted} and say so in `unit`")
    if np.isinf(values).any():
        yield Problem(f"labels/{name}", "is infinite for a star", "use NaN for unknown")
    if is_grid and np.isnan(values).any():
        row, count = int(np.argmax(np.isnan(values))), int(np.isnan(values).sum())
        what = f"is NaN for a spectrum of a grid (row {row}; {count} such)"
        yield Problem(f"labels/{name}", what, "drop the spectrum, or give its label")


def _gradients(file: h5py.File) -> Iterator[Problem]:
    group = file.get("gradients", {})
    stars, pixels = file["flux"].shape
    if "index" in group:
        index = group["index"][:]
        if index.dtype.kind not in "iu" or index.size and not 0 <= index.min() <= index.max() < stars:
            yield Problem(
                "gradients/index", "names spectra that are not there", f"it must be within 0 to {stars - 1}"
            )
    elif len(group):
        yield Problem("gradients/index", "is missing", "say which spectrum each gradient belongs to")
    for name in group:
        if name != "index" and "index" in group and group[name].shape != (len(group["index"]), pixels):
            yield Problem(
                f"gradients/{name}", f"has shape {group[name].shape}", "it must be (gradients, pixels)"
            )
        elif name != "index":
            yield from _gradient(group[name], name, file)


def _gradient(dataset: h5py.Dataset, name: str, file: h5py.File) -> Iterator[Problem]:
    step = dataset.attrs.get("step")
    if step is None or not np.isfinite(step) or step <= 0:
        yield Problem(
            f"gradients/{name}", f"has step {step}", "say half of the difference in attribute `step`"
        )
    if name not in file.get("labels", {}):
        yield Problem(
            f"gradients/{name}", "is of no label", f"name it after one of labels/, or add labels/{name}"
        )
    if not np.isfinite(dataset[:]).all():
        yield Problem(f"gradients/{name}", "is not finite", "leave the point out")


def _provenance(file: h5py.File) -> Iterator[Problem]:
    try:
        fine = isinstance(json.loads(file["provenance"][()]), dict)
    except (ValueError, TypeError):
        fine = False
    if not fine:
        yield Problem("provenance", "is not a JSON object", "write sources, licence and citation as JSON")


RULES: dict[Callable[[h5py.File], Iterator[Problem]], tuple[str, ...]] = {
    _domain: ("domain",),
    _wavelength: ("wavelength", "segment"),
    _identity: ("id",),
    _columns: COLUMNS,
    width_problems: ("lsf/sigma", "lsf/group"),
    bound_problems: ("lsf/sigma", "lsf/group", "wavelength"),
    profile_problems: ("lsf/hermite", "lsf/kernel", "lsf/offset"),
    _native: ("native",),
    _labels: ("labels", "flux"),
    _gradients: ("gradients", "flux"),
    _provenance: ("provenance",),
}
"""Every rule about content, and the datasets that must be there, with the right shape, to ask it."""
