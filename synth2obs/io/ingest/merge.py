"""Many small shards as one, in memory that does not grow with them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.io.ingest.inventory import Entry, Inventory
from synth2obs.io.quiet import write_hdf5
from synth2obs.io.shard.check import check_shard, refuse
from synth2obs.io.shard.fields import (
    COLUMNS,
    FIELDS,
    GROUPS,
    INTEGER,
    LABELS,
    NATIVE,
    PROFILES,
    ROWS,
    STARS,
    TEXT,
    Field,
)
from synth2obs.io.shard.layout import ERROR_SUFFIX, create, text_type
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import as_json, header, label_columns

COMMON = sorted(
    (field for field in FIELDS if not {STARS, GROUPS} & set(field.shapes[0])),
    key=lambda field: field.kind != INTEGER,
)
FILLED = sorted(ROWS, key=lambda field: field.kind == TEXT)
"""What all spectra share, and what each has, in the order of filling, on which the places of chunks depend."""

TEXTS = [field.name for field in FIELDS if field.kind == TEXT]


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
            first = _read(replace(stock.entries[0], rows=stock.entries[0].rows[:1]), stock)
            file.attrs.update(header(first))
            file["provenance"] = as_json(provenance)
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


def _datasets(file: h5py.File, first: Spectra, stock: Inventory) -> Iterator[tuple[str, Rows]]:
    """Every dataset of the whole at its full size, in the order in which `shard.write_shard` has them."""
    total = {STARS: stock.stars, GROUPS: stock.groups}
    for field in FIELDS:
        values = field.of(first)
        if values is not None:
            sizes = zip(field.axes(values.ndim), values.shape, strict=True)
            shape = tuple(total.get(axis, length) for axis, length in sizes)
            yield field.name, Rows(create(file, field.name, shape, _type(field, stock)))
        for name, dtype in _facts(field, stock):
            yield name, Rows(create(file, name, (stock.stars,), dtype))
    file.create_group("labels", track_order=True)
    for name in stock.labels:
        dataset = create(file, f"labels/{name}", (stock.stars,), LABELS.dtype)
        dataset.attrs["unit"] = unit_of(name.removesuffix(ERROR_SUFFIX))
        yield f"labels/{name}", Rows(dataset)


def _type(field: Field, stock: Inventory) -> Any:
    return text_type(stock.widths[field.name]) if field.dtype is None else field.dtype


def _facts(field: Field, stock: Inventory) -> Iterator[tuple[str, Any]]:
    """Facts of the survey that follow a field: texts the last text, numbers the last number."""
    if field.name == TEXTS[-1]:
        yield from ((name, text_type(width)) for name, width in stock.widths.items() if name not in TEXTS)
    if field.name == COLUMNS[-1]:
        yield from ((name, NATIVE.dtype) for name in stock.numbers if name not in stock.widths)


def _content(entry: Entry, stock: Inventory) -> Iterator[tuple[str, NDArray[Any]]]:
    """What one shard adds to each dataset; the first adds what all have in common."""
    spectra = _read(entry, stock)
    if entry is stock.entries[0]:
        common = (field for field in COMMON if not field.per_star(spectra))
        yield from ((field.name, values) for field, values in _present(common, spectra))
    rows = (field for field in FILLED if field.per_star(spectra))
    for field, values in _present(rows, spectra):
        yield field.name, values if field.kind != TEXT else np.char.encode(values, "utf-8")
    for name in [one for one in (*stock.widths, *stock.numbers) if one not in TEXTS]:
        yield name, _fact(spectra, name.removeprefix("native/"), name in stock.widths)
    labels = label_columns(spectra)
    for name in stock.labels:
        yield f"labels/{name}", labels.get(name, np.full(len(spectra), np.nan))
    yield "lsf/group", entry.group[spectra.line_spread.group]
    for field, values in _present(PROFILES, spectra):
        yield field.name, values[entry.new_groups]


def _read(entry: Entry, stock: Inventory) -> Spectra:
    """What goes into the whole of one shard, each star with pixels of its own if some have."""
    spectra = read_shard(entry.path, entry.rows)
    axis = spectra.wavelength if stock.shared else np.broadcast_to(spectra.wavelength, spectra.flux.shape)
    return spectra.with_valid(wavelength=axis)


def _present(fields: Iterable[Field], spectra: Spectra) -> Iterator[tuple[Field, NDArray[Any]]]:
    for field in fields:
        values = field.of(spectra)
        if values is not None:
            yield field, values


def _fact(spectra: Spectra, name: str, text: bool) -> NDArray[Any]:
    """A native column; blank where a shard does not have it, or has a number where others have text."""
    column = spectra.native.get(name)
    if column is None:
        return np.full(len(spectra), b"") if text else np.full(len(spectra), np.nan)
    if not text:
        return column
    words = column if column.dtype.kind == "U" else np.array([f"{value:g}" for value in column])
    return np.char.encode(words, "utf-8")
