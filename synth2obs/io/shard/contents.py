"""The rules about what stands in a shard, apart from the flux."""

import json
from collections.abc import Callable, Iterator

import h5py
import numpy as np

from synth2obs.core.labels import unit_of
from synth2obs.core.names import label_problem
from synth2obs.core.spectra_rules import (
    column_problems,
    domain_problems,
    id_problems,
    segment_problems,
    wavelength_problems,
)
from synth2obs.io.shard.fields import COLUMNS
from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.line_spread import profile_problems, wide_problems, width_problems
from synth2obs.io.shard.rules import Problem, fields, guarded
from synth2obs.io.shard.structure import attribute_problems, missing_problems, shape_problems


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
    yield from domain_problems(file.attrs.get("kind"), file.attrs.get("domain", ""))


def _wavelength(file: h5py.File) -> Iterator[Problem]:
    dataset, segment = file["wavelength"], file["segment"][:]
    if dataset.ndim == 1:
        yield from wavelength_problems(dataset[:][None], segment)
    for first in range(0, len(dataset) if dataset.ndim > 1 else 0, CHUNK_ROWS):
        found = list(wavelength_problems(dataset[first : first + CHUNK_ROWS], segment))
        yield from found
        if found:
            break
    yield from segment_problems(segment)


def _identity(file: h5py.File) -> Iterator[Problem]:
    yield from id_problems(file["id"].asstr("utf-8")[:].astype(str))


def _columns(file: h5py.File) -> Iterator[Problem]:
    for name in COLUMNS:
        yield from column_problems(name, file[name][:])


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
        if wrong := label_problem(name):
            yield Problem("labels", f"{name!r} cannot name a label", wrong)
        else:
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
    wide_problems: ("lsf/sigma", "wavelength"),
    profile_problems: ("lsf/hermite", "lsf/kernel", "lsf/offset"),
    _native: ("native",),
    _labels: ("labels", "flux"),
    _gradients: ("gradients", "flux"),
    _provenance: ("provenance",),
}
"""Every rule about content, and the datasets that must be there, with the right shape, to ask it."""
