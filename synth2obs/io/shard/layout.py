"""The names inside a shard, and how its file is opened. See docs/data_format.md."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.shard.outside import refuse_outside

CHUNK_ROWS = 64
"""Rows per chunk of flux and ivar, and per block that the streaming reader reads at once."""

COLUMN_ROWS = 16_384
"""Rows per chunk of everything that has one number a spectrum."""

CHUNKS = {1: COLUMN_ROWS, 2: CHUNK_ROWS}
"""Rows per chunk by the number of axes; of what has more, every row is a chunk."""

ATTRIBUTES = ("format", "domain", "kind", "medium", "frame", "flux_kind")
ERROR_SUFFIX = "_error"
"""Ending of the name of a label's error."""
COMPRESSION = hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE)

_INGEST = "make it again with `synth2obs ingest`"
_COPY = "copy or build the file again"


@contextmanager
def open_shard(path: str | Path) -> Iterator[h5py.File]:
    """Open a shard for reading; whatever goes wrong inside the block is a DataError about this file.

    Raises:
        DataError: If the file is missing, a folder, empty, not HDF5, truncated or damaged, or takes anything from
            another file.
    """
    path = Path(path)
    refuse_unreadable(path)
    try:
        with h5py.File(path, "r") as file:
            refuse_outside(file, path)
            yield file
    except DataError:
        raise
    except Exception as error:
        raise DataError(reason(error), path=path, remedy=_COPY) from error


def refuse_unreadable(path: Path) -> None:
    """Refuse what is not an HDF5 file at all.

    Raises:
        DataError: If the file is missing, a folder, empty, unreadable or of another format.
    """
    if path.is_dir():
        raise DataError("is a folder, not a shard", path=path, remedy="name one .h5 file")
    if not path.exists():
        raise DataError("no such file", path=path, remedy="check the name")
    try:
        with path.open("rb") as stream:
            empty = not stream.read(1)
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, remedy="check permissions") from error
    if empty:
        raise DataError("is empty", path=path, remedy=_COPY)
    if not h5py.is_hdf5(path):
        raise DataError("is not an HDF5 file", path=path, remedy=f"if it is a survey's own file, {_INGEST}")


def reason(error: Exception) -> str:
    """What an exception of h5py means for the person whose file it is."""
    text = str(error)
    if any(word in text for word in ("Fletcher32", "checksum", "filter returned failure")):
        return f"is damaged: its checksum or compression does not match its data ({text})"
    if "truncated" in text or "eof" in text.lower():
        return f"is truncated ({text})"
    return f"cannot be read ({type(error).__name__}: {text})"


def create(
    file: h5py.File, name: str, shape: tuple[int, ...], dtype: Any, data: NDArray[Any] | None = None
) -> h5py.Dataset:
    """A dataset with the format's chunks, compression and checksums."""
    chunks = (min(CHUNKS.get(len(shape), 1), shape[0]), *shape[1:])
    return file.create_dataset(name, shape, dtype, data, chunks=chunks, fletcher32=True, **COMPRESSION)


def text_type(width: int) -> Any:
    """UTF-8 text of so many bytes."""
    return h5py.string_dtype("utf-8", max(width, 1))
