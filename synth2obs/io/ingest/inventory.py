"""What stands in the shards of an ingest's parts, read without their flux: what the whole will hold."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.shard.fields import GROUPS, OPTIONAL, PROFILES, SHAPES, Field
from synth2obs.io.shard.rows import open_valid
from synth2obs.io.surveys.assemble import Kind, difference


@dataclass(frozen=True)
class Entry:
    """One shard of a part.

    Args:
        path: The shard.
        rows: Rows that go into the whole.
        group: Number in the whole of each of its line spreads.
        new_groups: Rows of its line spreads that no shard before has.
    """

    path: Path
    rows: NDArray[np.intp]
    group: NDArray[np.int64]
    new_groups: NDArray[np.intp]


@dataclass
class Inventory:
    """All shards of an ingest.

    Args:
        entries: In order.
        widths: Bytes of the longest text in each column of text.
        numbers: Columns of numbers in ``native``, in order.
        labels: Names of labels and of their errors, in order.
        groups: Different line spreads.
        shared: Whether all spectra have the same wavelengths.
        skipped: File and reason of spectra that were left out.
        objects: How often each object occurs.
    """

    entries: list[Entry] = field(default_factory=list)
    widths: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, None] = field(default_factory=dict)
    labels: dict[str, None] = field(default_factory=dict)
    groups: int = 0
    shared: bool = True
    skipped: list[tuple[str, str]] = field(default_factory=list)
    objects: dict[bytes, int] = field(default_factory=dict)

    @property
    def stars(self) -> int:
        """Rows of the whole."""
        return sum(len(entry.rows) for entry in self.entries)


def take_stock(shards: Sequence[Path], same_pixels: bool, stop: bool) -> Inventory:
    """Decide what of the parts goes into the whole.

    Spectra of another kind than the first, and those whose name has occurred, are left out or end everything. Memory
    grows by some tens of bytes a spectrum.

    Args:
        shards: Of all parts, in order.
        same_pixels: Whether wavelengths must agree.
        stop: Whether a spectrum that does not fit ends everything.

    Raises:
        DataError: If ``stop`` is set and a spectrum does not fit, or nothing is left.
    """
    stock = Inventory()
    seen = _Seen()
    for path in shards:
        with open_valid(path) as file:
            rows = _fitting(file, stock, seen, same_pixels, stop)
            if len(rows):
                _add(file, path, rows, stock, seen)
    if not stock.entries:
        reasons = "".join(f"\n  {name}: {reason}" for name, reason in stock.skipped[:5])
        raise DataError(f"no spectrum is left{reasons}", remedy="name at least one file of a star")
    return stock


@dataclass
class _Seen:
    """What has occurred so far."""

    kind: Kind | None = None
    file: str = ""
    wavelength: bytes = b""
    names: dict[bytes, None] = field(default_factory=dict)
    spreads: dict[bytes, int] = field(default_factory=dict)


def _fitting(
    file: h5py.File, stock: Inventory, seen: _Seen, same_pixels: bool, stop: bool
) -> NDArray[np.intp]:
    """Rows of a shard that may stand in the whole."""
    names, files = (file[name].asstr("utf-8")[:] for name in ("id", "native/file"))
    kind = _kind(file, same_pixels)
    if seen.kind is None:
        seen.kind, seen.file = kind, str(files[0])
    found = difference(kind, seen.kind)
    if found is not None:
        message = f"{found[0]}: {found[1].format(seen.file)}"
        _leave_out([(str(name), message) for name in files], stock, stop)
        return np.array([], dtype=np.intp)
    fresh = [_digest(str(name).encode()) not in seen.names for name in names]
    double = [
        (str(f), f"{n} occurs 2 times") for n, f, new in zip(names, files, fresh, strict=True) if not new
    ]
    _leave_out(double, stock, stop)
    return np.nonzero(np.array(fresh))[0]


def _leave_out(spectra: list[tuple[str, str]], stock: Inventory, stop: bool) -> None:
    if spectra and stop:
        name, reason = spectra[0]
        raise DataError(
            reason, path=name, field="id", remedy="ingest files of one kind at a time, each spectrum once"
        )
    stock.skipped += spectra


def _add(file: h5py.File, path: Path, rows: NDArray[np.intp], stock: Inventory, seen: _Seen) -> None:
    seen.names.update(dict.fromkeys(_digest(str(n).encode()) for n in file["id"].asstr("utf-8")[:][rows]))
    for name in file["native/object"].asstr("utf-8")[:][rows] if "native/object" in file else ():
        key = _digest(str(name).encode())
        stock.objects[key] = stock.objects.get(key, 0) + 1
    for name in ("id", *(f"native/{one}" for one in file.get("native", {}))):
        if h5py.check_string_dtype(file[name].dtype) is not None:
            stock.widths[name] = max(stock.widths.get(name, 1), file[name].dtype.itemsize)
        else:
            stock.numbers.setdefault(name)
    stock.labels.update(dict.fromkeys(file.get("labels", {})))
    own = _digest(file["wavelength"][:].tobytes()) if file["wavelength"].ndim == 1 else b""
    seen.wavelength = seen.wavelength or own
    stock.shared &= bool(own) and own == seen.wavelength
    stock.entries.append(_entry(file, path, rows, stock, seen))


def _entry(file: h5py.File, path: Path, rows: NDArray[np.intp], stock: Inventory, seen: _Seen) -> Entry:
    """Numbers the line spreads of a shard in the whole."""
    used = np.unique(file["lsf/group"][:][rows])
    group = np.zeros(len(file["lsf/sigma"]), dtype=np.int64)
    new = []
    for row in used:
        key = _digest(b"".join(file[field.name][row].tobytes() for field in PROFILES if field.name in file))
        if key not in seen.spreads:
            seen.spreads[key] = stock.groups
            stock.groups += 1
            new.append(row)
        group[row] = seen.spreads[key]
    return Entry(path, rows, group, np.array(new, dtype=np.intp))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


def _kind(file: h5py.File, same_pixels: bool) -> Kind:
    """The kind of a shard's spectra, as `assemble.kind_of` has it for a record."""
    found = [(field, file.get(field.name)) for field in SHAPES if field.need == OPTIONAL]
    lsf = [None if data is None else _form(data, field) for field, data in found]
    return Kind(
        str(file.attrs["frame"]),
        str(file.attrs["flux_kind"]),
        str(file.attrs["air_formula"]),
        int(file["flux"].shape[1]),
        "flags" in file,
        tuple(lsf),
        file["segment"][:].tobytes(),
        file["wavelength"][:].tobytes() if same_pixels else b"",
    )


def _form(dataset: h5py.Dataset, field: Field) -> Any:
    """Shape of a profile without its groups, or the content of what all groups share."""
    return dataset.shape[1:] if GROUPS in field.shapes[0] else dataset[:].tobytes()
