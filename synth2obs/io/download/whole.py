"""Whether a file of a survey has all its bytes, as far as the file itself shows."""

import gzip
import zlib
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import GZIP, refuse_bomb
from synth2obs.io.surveys.fits_blocks import BLOCK, START
from synth2obs.io.surveys.fits_file import open_fits

SMALL = 64 << 20
"""Bytes of a file of which every header is read; a larger one is only measured."""

TELLING = len(START)
"""Bytes that tell a FITS file from others."""

CHUNK = 1 << 20


def is_fits(beginning: bytes) -> bool:
    """Whether bytes are the beginning of a FITS file, gzipped or not."""
    return beginning.startswith((START, GZIP))


def fault(path: Path) -> str | None:
    """What shows that a file is damaged or cut; None if nothing does.

    The length of a FITS file is a multiple of 2880 bytes (standard 4.0, 3.1), gzip ends with a checksum.
    """
    with path.open("rb") as stream:
        zipped = stream.read(2) == GZIP
    size = path.stat().st_size
    if zipped and not _unzips(path):
        return "what came is a damaged or cut gzip file"
    if not zipped and size % BLOCK:
        return f"what came is a cut FITS file: {size} bytes are no multiple of {BLOCK}"
    return _unreadable(path) if size <= SMALL else None


def _unreadable(path: Path) -> str | None:
    try:
        with open_fits(path) as file:
            len(file)
    except DataError as error:
        text = str(error).removeprefix(f"{path}: ").removesuffix(f"; {error.remedy}")
        return f"what came {text}"
    return None


def _unzips(path: Path) -> bool:
    """Whether a gzip stream reaches a sensible end and its checksum is right; in memory of a chunk."""
    try:
        with gzip.open(path) as stream:
            size = path.stat().st_size
            while stream.read(CHUNK):
                refuse_bomb(stream.tell(), size, path)
    except (gzip.BadGzipFile, EOFError, zlib.error, DataError):
        return False
    return True
