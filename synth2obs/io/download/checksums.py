"""Digests that an archive publishes beside its files."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text
from synth2obs.io.download.target import Target

ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256"}
"""Algorithm by the number of hexadecimal digits."""

LINE = re.compile(r"\\?([0-9a-fA-F]+)[ \t]+[*]?(\S.*)")

Parts = tuple[str, ...]


class Checksums:
    """Lists of digests: a digest and a path a line, as ``sha1sum`` writes them and SDSS publishes.

    A path is compared from its end, as far as it agrees with a file's address or with its place below the output
    folder: lists of several folders may name different files alike.

    Args:
        paths: Text files.

    Raises:
        DataError: If one cannot be read, or a line is no digest with a path.
    """

    def __init__(self, paths: Sequence[str | Path] = ()) -> None:
        self.entries: dict[str, list[tuple[Parts, str]]] = {}
        for path in paths:
            for parts, digest in _read(Path(path)):
                self.entries.setdefault(parts[-1], []).append((parts, digest))

    def of(self, target: Target) -> set[str]:
        """Digests that the file may have; empty if the lists do not name it."""
        places = [_parts(target.path), _parts(unquote(urlsplit(target.url).path))]
        named = self.entries.get(places[0][-1], [])
        near = [(max(_common(parts, place) for place in places), digest) for parts, digest in named]
        best = max((length for length, _ in near), default=0)
        return {digest for length, digest in near if length == best}

    def agree(self, path: Path, target: Target) -> bool:
        """Whether a file has one of the digests of a target, or none is known."""
        known = self.of(target)
        return not known or any(file_digest(path, ALGORITHMS[len(one)]) == one for one in known)


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as stream:
        # These digests find damage, nothing else.
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _read(path: Path) -> list[tuple[Parts, str]]:
    lines = read_text(path).splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = LINE.fullmatch(line.strip())
        if found is None or len(found.group(1)) not in ALGORITHMS:
            raise DataError(
                f"line {number} is no digest with a path: {line[:60]!r}",
                path=path,
                remedy="give what md5sum, sha1sum or sha256sum writes",
            )
        entries.append((_parts(found.group(2)), found.group(1).lower()))
    return entries


def _parts(path: str) -> Parts:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _common(one: Parts, other: Parts) -> int:
    """How many parts at the end of two paths agree."""
    return len(os.path.commonprefix([one[::-1], other[::-1]]))
