"""A file that HDF5 can write on a full disk without dying of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO, RawIOBase
from pathlib import Path
from typing import Any

import h5py


class QuietFile(RawIOBase):
    """A file whose writes always seem to succeed; the first error is kept, and nothing is written after it.

    HDF5 cannot close a file to which a write has failed, and crashes when the program ends.

    Args:
        raw: Unbuffered file.
    """

    def __init__(self, raw: FileIO) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all bytes, or remember why not."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.error is None:
            try:
                left = left[self.raw.write(left) :]
            except OSError as error:
                self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with bytes from the current place."""
        return self.raw.readinto(buffer)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        """The current place."""
        return self.raw.tell()

    def truncate(self, size: int | None = None) -> int:
        """Change the size, or remember why not."""
        try:
            return self.raw.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def flush(self) -> None:
        """Nothing is buffered."""


@contextmanager
def write_hdf5(path: Path) -> Iterator[tuple[h5py.File, QuietFile]]:
    """A new HDF5 file, and the file below it, whose ``error`` tells whether to go on makes sense.

    The layout is that of HDF5 1.10, whose own metadata have checksums.

    Raises:
        OSError: If a write failed; HDF5 has closed the file all the same.
    """
    with FileIO(path, "w+") as raw:
        below = QuietFile(raw)
        with h5py.File(below, "w", libver=("v110", "v110")) as file:
            yield file, below
        if below.error is not None:
            raise below.error
