"""Rows of an open shard as a table in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Gradients, Spectra
from synth2obs.core.spectra_rules import refuse, row_problems
from synth2obs.io.shard.contents import header_problems
from synth2obs.io.shard.fields import FIELDS, GROUPS, INDEX, ROWS, SHAPES, STARS, STEP, Field
from synth2obs.io.shard.layout import CHUNK_ROWS, ERROR_SUFFIX, open_shard

GROUPED = ("labels", "label_errors", "native")
"""Columns by name."""


@contextmanager
def open_valid(path: str | Path) -> Iterator[h5py.File]:
    """An open shard whose header breaks no rule; its rows are checked when they are read."""
    with open_shard(path) as file:
        refuse(header_problems(file), path)
        yield file


def read_rows(file: h5py.File, rows: NDArray[np.integer[Any]], path: str | Path) -> Spectra:
    """The given rows of an open, valid shard."""
    fields = _fields(file, rows)
    refuse(list(row_problems(fields["flux"], fields["ivar"], int(rows[0]) if len(rows) else 0)), path)
    flag_names = json.loads(file.attrs.get("flag_names", "{}"))
    return Spectra.unchecked(
        domain=str(file.attrs["domain"]),
        kind=str(file.attrs["kind"]),
        **fields,
        **_labels(file, rows),
        line_spread=_line_spread(file, rows),
        flag_names={int(bit): name for bit, name in flag_names.items()},
        native={name: _column(data, rows) for name, data in file.get("native", {}).items()},
        gradients=_gradients(file, rows),
        frame=str(file.attrs["frame"]),
        flux_kind=str(file.attrs["flux_kind"]),
        air_formula=str(file.attrs.get("air_formula", "")),
        provenance=json.loads(file["provenance"][()]),
    )


def _fields(file: h5py.File, rows: NDArray[np.integer[Any]]) -> dict[str, Any]:
    """Everything but labels, facts and line spread, by attribute; None for what is not there."""
    wanted = [field for field in FIELDS if not field.part]
    return {
        field.attribute: _values(file[field.name], field, rows) if field.name in file else None
        for field in wanted
    }


def _labels(file: h5py.File, rows: NDArray[np.integer[Any]]) -> dict[str, Any]:
    """Labels, and those of their errors that are there."""
    columns = {name: _column(data, rows) for name, data in file.get("labels", {}).items()}
    labels = {name: column for name, column in columns.items() if not name.endswith(ERROR_SUFFIX)}
    errors = {name: columns[f"{name}{ERROR_SUFFIX}"] for name in labels if f"{name}{ERROR_SUFFIX}" in columns}
    return {"labels": labels, "label_errors": errors}


def _line_spread(file: h5py.File, rows: NDArray[np.integer[Any]]) -> LineSpread:
    """The line spread: of all groups, or of those that the rows have where there are many groups."""
    group, groups = _column(file["lsf/group"], rows), len(file["lsf/sigma"])
    used = np.arange(groups)
    if groups > CHUNK_ROWS:
        used, group = np.unique(group, return_inverse=True)
    found = {field.part: _values(file[field.name], field, used) for field in SHAPES if field.name in file}
    return LineSpread(group=group.astype(file["lsf/group"].dtype), **found)


def _gradients(file: h5py.File, rows: NDArray[np.integer[Any]]) -> Gradients | None:
    """Gradients of the spectra that are read."""
    group = file.get("gradients")
    if not group:
        return None
    values = {name: np.asarray(data[:]) for name, data in group.items() if name != INDEX}
    steps = {name: float(group[name].attrs[STEP]) for name in values}
    return Gradients(index=group[INDEX][:], values=values, steps=steps).take(rows, len(file["flux"]))


def _values(dataset: h5py.Dataset, field: Field, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Rows of a dataset, stars or groups; all of one that has neither."""
    first, *others = field.axes(dataset.ndim)
    if first not in (STARS, GROUPS):
        return np.asarray(dataset[:])
    return _gather(dataset, rows) if others else _column(dataset, rows)


def _column(dataset: h5py.Dataset, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Rows of a column of numbers or text: one read from the first to the last of them."""
    if h5py.check_string_dtype(dataset.dtype) is not None:
        return _span(dataset.asstr("utf-8"), rows).astype(str)
    return _span(dataset, rows)


def _span(dataset: Any, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    if not len(rows):
        return np.asarray(dataset[:0])
    first = int(rows.min())
    return np.asarray(dataset[first : int(rows.max()) + 1])[rows - first]


def _gather(dataset: h5py.Dataset, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Rows in any order, read chunk by chunk: h5py is slow to pick single rows."""
    result = np.empty((len(rows), *dataset.shape[1:]), dtype=dataset.dtype)
    blocks = rows // CHUNK_ROWS
    for block in np.unique(blocks):
        (here,) = np.nonzero(blocks == block)
        first = int(block) * CHUNK_ROWS
        result[here] = dataset[first : first + CHUNK_ROWS][rows[here] - first]
    return result


def join(first: Spectra, second: Spectra) -> Spectra:
    """Rows of one shard, one table after the other."""
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(first, name), getattr(second, name)])
        for name in (field.attribute for field in ROWS if field.per_star(first))
    }
    for group in GROUPED:
        columns, others = getattr(first, group), getattr(second, group)
        joined[group] = {name: np.concatenate([column, others[name]]) for name, column in columns.items()}
    joined["line_spread"] = first.line_spread.join(second.line_spread)
    return first.with_valid(**joined)
