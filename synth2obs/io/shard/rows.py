"""Rows of an open shard as a table in memory."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.check import refuse
from synth2obs.io.shard.contents import header_problems
from synth2obs.io.shard.layout import CHUNK_ROWS, ERROR_SUFFIX, LSF_FIELDS, open_shard
from synth2obs.io.shard.rules import row_problems


@contextmanager
def open_valid(path: str | Path) -> Iterator[h5py.File]:
    """An open shard whose header breaks no rule; its rows are checked when they are read."""
    with open_shard(path) as file:
        refuse(header_problems(file), path)
        yield file


def read_rows(file: h5py.File, rows: NDArray[np.integer[Any]], path: str | Path) -> Spectra:
    """The given rows of an open, valid shard."""

    def column(name: str) -> NDArray[Any]:
        return _column(file[name], rows)

    flux, ivar = _checked(file, rows, path)
    shared = file["wavelength"].ndim == 1
    names = list(file.get("labels", {}))
    values = [name for name in names if not name.endswith(ERROR_SUFFIX)]
    flag_names = json.loads(file.attrs.get("flag_names", "{}"))
    return Spectra(
        domain=str(file.attrs["domain"]),
        kind=str(file.attrs["kind"]),
        wavelength=file["wavelength"][:] if shared else _gather(file["wavelength"], rows),
        segment=file["segment"][:],
        flux=flux,
        ivar=ivar,
        flags=_gather(file["flags"], rows) if "flags" in file else None,
        flag_names={int(bit): name for bit, name in flag_names.items()},
        id=_any_column(file["id"], rows),
        line_spread=_line_spread(file, rows),
        rv=column("rv"),
        rv_error=column("rv_error"),
        snr=column("snr"),
        labels={name: column(f"labels/{name}") for name in values},
        label_errors={
            name: column(f"labels/{name}{ERROR_SUFFIX}")
            for name in values
            if f"{name}{ERROR_SUFFIX}" in names
        },
        native={name: _any_column(data, rows) for name, data in file.get("native", {}).items()},
        frame=str(file.attrs["frame"]),
        flux_kind=str(file.attrs["flux_kind"]),
        air_formula=str(file.attrs.get("air_formula", "")),
        provenance=json.loads(file["provenance"][()]),
    )


def _line_spread(file: h5py.File, rows: NDArray[np.integer[Any]]) -> LineSpread:
    """The line spread: of all groups, or of those that the rows have where there are many groups."""
    group, groups = _column(file["lsf/group"], rows), len(file["lsf/sigma"])
    used = np.arange(groups)
    if groups > CHUNK_ROWS:
        used, group = np.unique(group, return_inverse=True)
    fields = {"lsf/sigma": "sigma", **LSF_FIELDS}
    found = {
        field: file[name][:] if name == "lsf/offset" else _gather(file[name], used)
        for name, field in fields.items()
        if name in file
    }
    return LineSpread(group=group.astype(file["lsf/group"].dtype), **found)


def _checked(
    file: h5py.File, rows: NDArray[np.integer[Any]], path: str | Path
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    flux = _gather(file["flux"], rows)
    ivar = _gather(file["ivar"], rows) if "ivar" in file else None
    refuse(list(row_problems(flux, ivar, int(rows[0]) if len(rows) else 0)), path)
    return flux, ivar


def _column(dataset: Any, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Rows of a small one-dimensional dataset: one read from the first to the last of them."""
    if not len(rows):
        return np.asarray(dataset[:0])
    first = int(rows.min())
    return np.asarray(dataset[first : int(rows.max()) + 1])[rows - first]


def _any_column(dataset: h5py.Dataset, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """A column of numbers or of text."""
    if h5py.check_string_dtype(dataset.dtype) is None:
        return _column(dataset, rows)
    return _column(dataset.asstr("utf-8"), rows).astype(str)


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

    def both(name: str) -> Any:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None else np.concatenate([one, other])

    rows = ("flux", "ivar", "flags", "id", "rv", "rv_error", "snr")
    return replace(
        first,
        **{name: both(name) for name in rows},
        line_spread=first.line_spread.join(second.line_spread),
        wavelength=first.wavelength if first.shared_wavelength else both("wavelength"),
        labels={name: np.concatenate([c, second.labels[name]]) for name, c in first.labels.items()},
        label_errors={
            name: np.concatenate([c, second.label_errors[name]]) for name, c in first.label_errors.items()
        },
        native={name: np.concatenate([c, second.native[name]]) for name, c in first.native.items()},
    )
