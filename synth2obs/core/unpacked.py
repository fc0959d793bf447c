"""Contents of files, unpacked if they are gzipped, and text whatever mark it begins with; never more than a limit."""

import gzip
import zlib
from collections.abc import Iterable
from io import RawIOBase
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError

GZIP = b"\x1f\x8b"

LARGEST = 2**31
"""Bytes that a gzipped file may unpack to."""

FREE, RATIO = 2**26, 50
"""Bytes beyond which a file may not grow by more than this factor: spectra shrink by 2 to 20, zeros by 1000."""

BLOCK = 2**20

MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks, with which Excel and Windows begin text."""

COMPRESSED = (".gz",)
SUFFIXES = (
    *(".fits", ".fit", ".fts", ".csv", ".ecsv", ".txt", ".dat", ".asc", ".ascii", ".tbl", ".tsv"),
    *(".h5", ".hdf5", ".parquet", ".npz", ".npy", ".vot", ".xml", ".spec"),
)
"""Endings of names that say a format; whatever else follows a dot belongs to the name."""


def bare_name(name: str) -> str:
    """A file's name without the endings of its format: ``star_g4.5.csv.gz`` is ``star_g4.5``."""
    for endings in (COMPRESSED, SUFFIXES):
        ending = next((one for one in endings if name.lower().endswith(one) and len(name) > len(one)), "")
        name = name[: len(name) - len(ending)]
    return name


def suffix_of(path: Path) -> str:
    """The ending that says a file's format, in lower case; that of gzip does not count."""
    name = path.name.lower()
    return Path(name.removesuffix(COMPRESSED[0])).suffix


def read_unpacked(path: str | Path) -> bytes:
    """All bytes of a file, unpacked if it is gzipped.

    Raises:
        DataError: If it cannot be read, is damaged, or unpacks to more than is sensible; then not all is read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            if stream.read(2) != GZIP:
                stream.seek(0)
                return stream.read()
            stream.seek(0)
            with gzip.GzipFile(fileobj=stream) as packed:
                return _limited(packed, path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        found = f"is a damaged or cut gzip file ({error}), so that no FITS or text can be unpacked"
        raise DataError(found, path=path, remedy="download or copy the file again") from error
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, remedy="check the name") from error


def _limited(packed: Any, path: Path) -> bytes:
    size, parts, total = path.stat().st_size, list[bytes](), 0
    while block := packed.read(BLOCK):
        total += len(block)
        refuse_bomb(total, size, path)
        parts.append(block)
    return b"".join(parts)


def refuse_bomb(unpacked: int, packed: int, path: Path, field: str | None = None) -> None:
    """Refuse what unpacks to more than `LARGEST` bytes, or beyond `FREE` to more than `RATIO` times its size.

    Raises:
        DataError: Naming both sizes.
    """
    if unpacked > LARGEST or (unpacked > FREE and unpacked > RATIO * packed):
        found = (
            f"unpacks to more than {unpacked / 1e6:.0f} MB from {packed / 1e6:.3g} MB, which no spectra do"
        )
        remedy = "unpack it yourself if you trust it"
        raise DataError(found, path=path, field=field, remedy=remedy)


class Limited(RawIOBase):
    """A gzipped file's content as a stream that ends with a DataError where it unpacks to too much."""

    def __init__(self, path: Path) -> None:
        self._path, self._size, self._total = path, path.stat().st_size, 0
        self._packed = gzip.open(path, "rb")  # noqa: SIM115 - closed in close()

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what comes next."""
        block = self._packed.read(len(buffer))
        self._total += len(block)
        refuse_bomb(self._total, self._size, self._path)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        """Close the file."""
        self._packed.close()
        super().close()


def read_text(path: str | Path, fallback: str | None = None) -> str:
    """Text of a file, gzipped or not, without a byte order mark.

    Args:
        path: UTF-8, or what its mark says.
        fallback: Encoding of text that is no UTF-8; such text is refused if None.

    Raises:
        DataError: If it cannot be read, or is no text in a known encoding.
    """
    content = read_unpacked(path)
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is not None:
            return content.decode(fallback)
        found = f"cannot be read as text ({error})"
        raise DataError(found, path=path, remedy="save it as UTF-8") from error


def uncommented(lines: Iterable[str], mark: str = "#") -> list[str]:
    """Lines that are neither blank nor begin with a mark."""
    return [line for line in lines if line.strip() and not line.lstrip().startswith(mark)]


def first_bytes(path: str | Path, count: int = 16, packed: bool = False) -> bytes:
    """How a file begins, unpacked if it is gzipped, or as it is.

    Raises:
        DataError: If it cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(count)
        if packed or not start.startswith(GZIP):
            return start
        with gzip.open(path) as stream:
            return stream.read(count)
    except (EOFError, zlib.error, OSError) as error:
        raise DataError(
            f"cannot be read as FITS or text ({error})", path=path, remedy="copy it again"
        ) from error
