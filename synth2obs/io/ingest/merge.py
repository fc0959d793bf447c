"""Many small shards as one, in memory that does not grow with them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.io.ingest.inventory import Entry, Inventory
from synth2obs.io.quiet import write_hdf5
from synth2obs.io.shard.check import check_shard, refuse
from synth2obs.io.shard.layout import (
    CHUNK_ROWS,
    COLUMN_ROWS,
    COLUMNS,
    COMPRESSION,
    ERROR_SUFFIX,
    LSF_FIELDS,
    LSF_SHAPES,
)
from synth2obs.io.shard.read import read_shard


class Rows:
    """Rows that are appended to a dataset chunk by chunk, so that no chunk is compressed twice.

    Args:
        dataset: Where they go; its first axis is long enough.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self.place = 0
        self.waiting: list[NDArray[Any]] = []

    def append(self, rows: NDArray[Any]) -> None:
        """Write what fills chunks and keep the rest."""
        self.waiting.append(rows)
        chunk = self.dataset.chunks[0]
        count = sum(len(part) for part in self.waiting)
        self._write(count - count % chunk)

    def finish(self) -> None:
        """Write the rest."""
        self._write(sum(len(part) for part in self.waiting))

    def _write(self, count: int) -> None:
        if count:
            rows = np.concatenate(self.waiting)
            self.dataset[self.place : self.place + count] = rows[:count].astype(self.dataset.dtype)
            self.waiting, self.place = [rows[count:]], self.place + count


def merge(stock: Inventory, out: Path, provenance: Mapping[str, Any]) -> Path:
    """Write the spectra of all parts as one shard, atomically, and check it.

    Args:
        stock: What goes into it.
        out: Shard to write.
        provenance: Of the whole.

    Raises:
        DataError: If the whole breaks a rule; no file is written.
        OutputError: If it cannot be written.
    """
    with atomic_path(out) as temporary:
        with write_hdf5(temporary) as (file, below):
            first = read_shard(stock.entries[0].path, slice(0, 1))
            _header(file, first, provenance)
            writers = dict(_datasets(file, first, stock))
            for entry in stock.entries:
                for name, rows in _content(entry, stock):
                    writers[name].append(rows)
                if below.error is not None:
                    break
            for writer in writers.values():
                writer.finish()
        refuse(check_shard(temporary), out)
    return out


def _header(file: h5py.File, first: Spectra, provenance: Mapping[str, Any]) -> None:
    file.attrs.update(
        {
            "format": SHARD_FORMAT,
            "domain": first.domain,
            "kind": first.kind,
            "medium": "vacuum",
            "frame": first.frame,
            "flux_kind": first.flux_kind,
            "air_formula": first.air_formula,
            "flag_names": json.dumps({str(bit): name for bit, name in first.flag_names.items()}),
        }
    )
    file["provenance"] = np.bytes_(json.dumps(dict(provenance), ensure_ascii=False, sort_keys=True).encode())


def _datasets(file: h5py.File, first: Spectra, stock: Inventory) -> Iterator[tuple[str, Rows]]:
    """Every dataset of the whole at its full size, in the order in which `shard.write_shard` has them."""
    stars, pixels, groups = stock.stars, first.flux.shape[1], stock.groups
    axis = (pixels,) if stock.shared else (stars, pixels)

    def make(name: str, shape: tuple[int, ...], dtype: Any) -> tuple[str, Rows]:
        longest = {1: COLUMN_ROWS, 2: CHUNK_ROWS}.get(len(shape), 1)
        chunks = (min(longest, shape[0]), *shape[1:])
        made = file.create_dataset(name, shape, dtype, chunks=chunks, fletcher32=True, **COMPRESSION)
        return name, Rows(made)

    yield make("wavelength", axis, np.float64)
    yield make("segment", (pixels,), np.int16)
    for name, dtype in (("flux", np.float32), ("ivar", np.float32), ("flags", np.uint32)):
        if getattr(first, name) is not None:
            yield make(name, (stars, pixels), dtype)
    for name, width in stock.widths.items():
        yield make(name, (stars,), h5py.string_dtype("utf-8", width))
    for name in (*COLUMNS, *(name for name in stock.numbers if name not in stock.widths)):
        yield make(name, (stars,), np.float64)
    yield make("lsf/sigma", (groups, pixels), np.float64)
    yield make("lsf/group", (stars,), np.int32)
    for name in LSF_SHAPES:
        profile = getattr(first.line_spread, LSF_FIELDS[name])
        if profile is not None:
            yield make(name, (groups, *profile.shape[1:]), np.float32)
    if first.line_spread.offset is not None:
        yield make("lsf/offset", first.line_spread.offset.shape, np.float64)
    file.create_group("labels", track_order=True)
    for name in stock.labels:
        yield make(f"labels/{name}", (stars,), np.float64)
        file[f"labels/{name}"].attrs["unit"] = unit_of(name.removesuffix(ERROR_SUFFIX))


def _content(entry: Entry, stock: Inventory) -> Iterator[tuple[str, NDArray[Any]]]:
    """What one shard adds to each dataset; the first adds what all have in common."""
    spectra = read_shard(entry.path, entry.rows)
    stars, pixels = spectra.flux.shape
    if entry is stock.entries[0]:
        yield "segment", spectra.segment
        if stock.shared:
            yield "wavelength", spectra.wavelength
        if spectra.line_spread.offset is not None:
            yield "lsf/offset", spectra.line_spread.offset
    if not stock.shared:
        yield "wavelength", np.broadcast_to(spectra.wavelength, (stars, pixels))
    for name in ("flux", "ivar", "flags", *COLUMNS):
        if getattr(spectra, name) is not None:
            yield name, getattr(spectra, name)
    yield "id", np.char.encode(spectra.id, "utf-8")
    for name in [one for one in (*stock.widths, *stock.numbers) if one.startswith("native/")]:
        yield name, _fact(spectra, name.removeprefix("native/"), name in stock.widths)
    errors = {f"{name}{ERROR_SUFFIX}": column for name, column in spectra.label_errors.items()}
    for name in stock.labels:
        yield f"labels/{name}", {**spectra.labels, **errors}.get(name, np.full(stars, np.nan))
    yield "lsf/group", entry.group[spectra.line_spread.group]
    yield "lsf/sigma", spectra.line_spread.sigma[entry.new_groups]
    for name in LSF_SHAPES:
        profile = getattr(spectra.line_spread, LSF_FIELDS[name])
        if profile is not None:
            yield name, profile[entry.new_groups]


def _fact(spectra: Spectra, name: str, text: bool) -> NDArray[Any]:
    """A native column; blank where a shard does not have it, or has a number where others have text."""
    column = spectra.native.get(name)
    if column is None:
        return np.full(len(spectra), b"") if text else np.full(len(spectra), np.nan)
    if not text:
        return column
    words = column if column.dtype.kind == "U" else np.array([f"{value:g}" for value in column])
    return np.char.encode(words, "utf-8")
