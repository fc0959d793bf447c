"""Shards: spectra of one domain in one HDF5 file. The format is described in docs/data_format.md."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.errors import DataError
from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.io.check import check_shard, refuse
from synth2obs.io.layout import CHUNK_ROWS, COLUMNS, COMPRESSION, open_shard
from synth2obs.io.rules import header_problems, row_problems

ERROR_SUFFIX = "_error"
COLUMN_ROWS = 16_384
Rows = slice | Sequence[int] | NDArray[Any]


def write_shard(spectra: Spectra, path: str | Path) -> Path:
    """Write a table of spectra, atomically: a file appears only if the checker finds nothing wrong with it.

    Flux and inverse variance become float32.

    Args:
        spectra: The table.
        path: File to write, ``.h5``.

    Returns:
        The path.

    Raises:
        DataError: If the table breaks a rule of the format; no file is written.
        OutputError: If the file cannot be written.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_image(spectra))
        refuse(check_shard(temporary), path)
    return path


def read_shard(path: str | Path, rows: Rows | None = None) -> Spectra:
    """Read a shard, or some of its rows, into memory.

    Args:
        path: A shard.
        rows: A slice, row numbers or a boolean array; all rows if None.

    Raises:
        DataError: If the checker would refuse the file, or it does not have a row.
    """
    with _valid(path) as file:
        return _assemble(file, _row_numbers(rows, len(file["flux"]), path), path)


def _row_numbers(rows: Rows | None, count: int, path: str | Path) -> NDArray[np.integer[Any]]:
    try:
        return np.atleast_1d(np.arange(count)[slice(None) if rows is None else np.s_[rows]])
    except IndexError as error:
        raise DataError(
            f"rows {rows} are not all there", path=path, remedy=f"it has rows 0 to {count - 1}"
        ) from error


def row_count(path: str | Path) -> int:
    """Number of spectra in a shard.

    Raises:
        DataError: If it breaks a rule that shows without reading the flux.
    """
    with _valid(path) as file:
        return len(file["flux"])


@contextmanager
def _valid(path: str | Path) -> Iterator[h5py.File]:
    """An open shard whose header breaks no rule; its rows are checked when they are read."""
    with open_shard(path) as file:
        refuse(header_problems(file), path)
        yield file


def _image(spectra: Spectra) -> bytes:
    """The bytes of a shard. HDF5 itself does not survive a full disk, so it writes to memory."""
    # The layout of HDF5 1.10 has checksums in its own metadata, too.
    options = {"driver": "core", "backing_store": False, "libver": ("v110", "v110")}
    with h5py.File("shard.h5", "w", **options) as file:
        _write(file, spectra)
        file.flush()
        return bytes(file.id.get_file_image())


def _write(file: h5py.File, spectra: Spectra) -> None:
    file.attrs.update(
        {
            "format": SHARD_FORMAT,
            "domain": spectra.domain,
            "kind": spectra.kind,
            "medium": "vacuum",
            "frame": spectra.frame,
            "flux_kind": spectra.flux_kind,
            "air_formula": spectra.air_formula,
            "flag_names": json.dumps({str(bit): name for bit, name in spectra.flag_names.items()}),
        }
    )
    _dataset(file, "wavelength", spectra.wavelength, np.float64)
    _dataset(file, "segment", spectra.segment, np.int16)
    _dataset(file, "flux", spectra.flux, np.float32)
    if spectra.ivar is not None:
        _dataset(file, "ivar", spectra.ivar, np.float32)
    if spectra.flags is not None:
        _dataset(file, "flags", spectra.flags, np.uint32)
    names = np.char.encode(spectra.id, "utf-8")
    _dataset(file, "id", names, h5py.string_dtype("utf-8", max(names.dtype.itemsize, 1)))
    for name in COLUMNS:
        _dataset(file, name, getattr(spectra, name), np.float64)
    _dataset(file, "lsf/sigma", spectra.lsf_sigma, np.float64)
    _dataset(file, "lsf/group", spectra.lsf_group, np.int32)
    errors = {f"{name}{ERROR_SUFFIX}": column for name, column in spectra.label_errors.items()}
    file.create_group("labels", track_order=True)
    for name, column in {**spectra.labels, **errors}.items():
        dataset = _dataset(file, f"labels/{name}", column, np.float64)
        dataset.attrs["unit"] = unit_of(name.removesuffix(ERROR_SUFFIX))
    file["provenance"] = np.bytes_(
        json.dumps(spectra.provenance, ensure_ascii=False, sort_keys=True).encode()
    )


def _dataset(file: h5py.File, name: str, values: NDArray[Any], dtype: Any) -> h5py.Dataset:
    # A value too large for float32 becomes infinite, which the checker then names.
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.asarray(values).astype(dtype)
    if data.size == 0:
        raise DataError("is empty", field=name, remedy="give at least one spectrum of one pixel")
    longest = CHUNK_ROWS if data.ndim > 1 else COLUMN_ROWS
    chunks = (min(longest, data.shape[0]), *data.shape[1:])
    return file.create_dataset(name, data=data, chunks=chunks, fletcher32=True, **COMPRESSION)


def _assemble(file: h5py.File, rows: NDArray[np.integer[Any]], path: str | Path) -> Spectra:
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
        id=_column(file["id"].asstr("utf-8"), rows).astype(str),
        lsf_sigma=file["lsf/sigma"][:],
        lsf_group=column("lsf/group"),
        rv=column("rv"),
        rv_error=column("rv_error"),
        snr=column("snr"),
        labels={name: column(f"labels/{name}") for name in values},
        label_errors={
            name: column(f"labels/{name}{ERROR_SUFFIX}")
            for name in values
            if f"{name}{ERROR_SUFFIX}" in names
        },
        frame=str(file.attrs["frame"]),
        flux_kind=str(file.attrs["flux_kind"]),
        air_formula=str(file.attrs.get("air_formula", "")),
        provenance=json.loads(file["provenance"][()]),
    )


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


def _gather(dataset: h5py.Dataset, rows: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Rows in any order, read chunk by chunk: h5py is slow to pick single rows."""
    result = np.empty((len(rows), *dataset.shape[1:]), dtype=dataset.dtype)
    blocks = rows // CHUNK_ROWS
    for block in np.unique(blocks):
        (here,) = np.nonzero(blocks == block)
        first = int(block) * CHUNK_ROWS
        result[here] = dataset[first : first + CHUNK_ROWS][rows[here] - first]
    return result


def stream(
    paths: str | Path | Sequence[str | Path],
    *,
    seed: int,
    epoch: int,
    batch: int = 64,
    shuffle: bool = True,
) -> Iterator[Spectra]:
    """Batches of one epoch, read block by block so that memory does not grow with the shards.

    Blocks of 64 rows come in random order, and rows in random order within a block; every spectrum comes
    exactly once. A batch holds spectra of one shard; only the last batch of each shard may be shorter.

    Args:
        paths: One shard or several.
        seed: The order is a function of seed and epoch.
        epoch: Number of the pass through the data.
        batch: Spectra per batch.
        shuffle: False for the order of the files.

    Raises:
        DataError: If the checker would refuse what is read.
        ValueError: If ``batch`` is not positive.
    """
    if batch < 1:
        raise ValueError(f"batch must be >= 1 spectra, got {batch}")
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    random = np.random.default_rng([seed, epoch])
    waiting: dict[int, Spectra] = {}
    with ExitStack() as stack:
        shards = [stack.enter_context(_valid(path)) for path in files]
        for number, rows in _blocks([len(shard["flux"]) for shard in shards], random, shuffle):
            block = _assemble(shards[number], rows, files[number])
            table = _join(waiting.pop(number), block) if number in waiting else block
            whole = len(table) - len(table) % batch
            for start in range(0, whole, batch):
                yield table.take(np.arange(start, start + batch))
            if whole < len(table):
                waiting[number] = table.take(np.arange(whole, len(table)))
    yield from (waiting[number] for number in sorted(waiting))


def _blocks(
    counts: Sequence[int], random: np.random.Generator, shuffle: bool
) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """File number and rows of every block, in the order in which they are read."""
    blocks = [
        (number, np.arange(first, min(first + CHUNK_ROWS, count)))
        for number, count in enumerate(counts)
        for first in range(0, count, CHUNK_ROWS)
    ]
    order = random.permutation(len(blocks)) if shuffle else np.arange(len(blocks))
    for place in order:
        number, rows = blocks[place]
        yield number, random.permutation(rows) if shuffle else rows


def _join(first: Spectra, second: Spectra) -> Spectra:
    """Rows of one shard, one table after the other."""

    def both(name: str) -> Any:
        one, other = getattr(first, name), getattr(second, name)
        return None if one is None else np.concatenate([one, other])

    rows = ("flux", "ivar", "flags", "id", "lsf_group", "rv", "rv_error", "snr")
    return replace(
        first,
        **{name: both(name) for name in rows},
        wavelength=first.wavelength if first.shared_wavelength else both("wavelength"),
        labels={name: np.concatenate([c, second.labels[name]]) for name, c in first.labels.items()},
        label_errors={
            name: np.concatenate([c, second.label_errors[name]]) for name, c in first.label_errors.items()
        },
    )
