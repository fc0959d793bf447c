"""One file from an archive: in as many attempts as it takes, each from where the last ended."""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import requests

from synth2obs.core.files import output_error, write_json_atomic
from synth2obs.io.download.checksums import Checksums, file_digest
from synth2obs.io.download.client import Client, refuse, validator
from synth2obs.io.download.manifest import ManifestEntry
from synth2obs.io.download.pace import NotGiven, Patience, TryAgain
from synth2obs.io.download.target import Target
from synth2obs.io.download.whole import TELLING, fault, is_fits

RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", re.ASCII)
LENGTH = re.compile(r"\d{1,18}", re.ASCII)

Received = Callable[[int], None]


@dataclass(frozen=True)
class PartialFile:
    """What is known of a file that has not all come yet.

    Args:
        url: Where it comes from.
        validator: Tells its version from the next; empty if the server does not say.
        total: Its size in bytes; None if the server does not say.
    """

    url: str
    validator: str
    total: int | None


@dataclass(frozen=True)
class Destination:
    """Where a file goes, and where it waits until it is complete.

    Args:
        path: The file.
    """

    path: Path

    @property
    def part(self) -> Path:
        """What has come so far."""
        return self.path.with_name(f".{self.path.name}.part")

    @property
    def note(self) -> Path:
        """Its `PartialFile`."""
        return self.path.with_name(f".{self.path.name}.part.json")

    def begun(self, url: str) -> tuple[int, PartialFile]:
        """Bytes that are there and what is known of them; none if they cannot be told from another version's."""
        try:
            partial = PartialFile(**json.loads(self.note.read_text(encoding="utf-8")))
            size = self.part.stat().st_size
        except (OSError, ValueError, TypeError):
            return 0, PartialFile(url, "", None)
        known = partial.url == url and bool(partial.validator)
        return (size, partial) if known else (0, PartialFile(url, "", None))

    def drop(self) -> None:
        """Forget what has come."""
        for path in (self.part, self.note):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def fetch(target: Target, folder: Path, client: Client, sums: Checksums, received: Received) -> ManifestEntry:
    """Download a file; it appears under its name when it is whole and its digest is right.

    Args:
        target: Which.
        folder: Where to, with the target's own folders below.
        client: Connection to the archive.
        sums: Published digests.
        received: Called with the number of bytes as they come.

    Raises:
        NotGiven: If the archive does not give it; what has come stays for the next call.
        OutputError: If it cannot be written.
    """
    destination = Destination(folder / target.path)
    patience = Patience.of(client.pace)
    while True:
        try:
            partial = _receive(target, destination, client, patience, received)
            _check(destination.part, partial, target, sums)
            return _finish(destination, target, partial)
        except TryAgain as error:
            if error.anew:
                destination.drop()
            patience = patience.after(error)
            patience.sleep(error.answer)
        except OSError as error:
            raise output_error(error, destination.path) from error


def _receive(
    target: Target, destination: Destination, client: Client, patience: Patience, received: Received
) -> PartialFile:
    have, partial = destination.begun(target.url)
    if have and have == partial.total:
        return partial
    headers = {"Range": f"bytes={have}-", "If-Range": partial.validator} if have else {}
    with client.get(target, headers) as answer:
        refuse(answer, patience)
        start = _start(answer, have, partial)
        if not start:
            partial = PartialFile(target.url, validator(answer.headers), _length(answer))
        body = client.body(answer)
        first = _beginning(body)
        if not start and not is_fits(first):
            raise _no_fits(answer, first)
        destination.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered: what a broken connection leaves is on the disk, and a full disk is seen at once.
        with destination.part.open("ab" if start else "wb", buffering=0) as stream:
            # Only now: the note of a new version must not meet the bytes of the old.
            write_json_atomic(destination.note, asdict(partial))
            _write(stream, first, received)
            for chunk in body:
                _write(stream, chunk, received)
            os.fsync(stream.fileno())
    return partial


def _beginning(body: Iterator[bytes]) -> bytes:
    """As many bytes as it takes to know a file, or all."""
    first = b""
    for chunk in body:
        first += chunk
        if len(first) >= TELLING:
            break
    return first


def _start(answer: requests.Response, have: int, partial: PartialFile) -> int:
    """First byte that an answer brings: 0 for a whole file, which replaces what was there.

    Raises:
        TryAgain: If it is the rest of another version, or another part than was asked for.
    """
    if answer.status_code == 200:
        return 0
    found = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if found is None or int(found.group(1)) != have:
        raise TryAgain("the server sent another part than was asked for", anew=True)
    total = None if found.group(2) == "*" else int(found.group(2))
    if validator(answer.headers) not in ("", partial.validator) or partial.total not in (None, total):
        raise TryAgain("the file has changed on the server meanwhile", anew=True)
    return have


def _length(answer: requests.Response) -> int | None:
    """Size in bytes that a server announces."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if LENGTH.fullmatch(length) else None


def _no_fits(answer: requests.Response, first: bytes) -> NotGiven:
    """What came instead of a file."""
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if not first:
        return TryAgain("the server sent nothing", anew=True)
    if kind == "text/html" or first.lstrip()[:1] == b"<":
        return NotGiven(
            f"a page ({kind or 'of no kind'}) came, no FITS file: the archive wants a login, or does not know it"
        )
    return NotGiven(f"what came is no FITS file ({kind or 'of no kind'})")


def _write(stream: BinaryIO, chunk: bytes, received: Received) -> None:
    left = memoryview(chunk)
    while left:
        left = left[stream.write(left) :]
    received(len(chunk))


def _check(part: Path, partial: PartialFile, target: Target, sums: Checksums) -> None:
    """Refuse a file that is not as the server, the standard and the archive's digests say.

    Raises:
        TryAgain: Saying which.
    """
    size = part.stat().st_size
    if partial.total is not None and size != partial.total:
        raise TryAgain(f"{size} of {partial.total} bytes came", anew=size > partial.total)
    reason = fault(part)
    if reason is not None:
        raise TryAgain(reason, anew=True)
    if not sums.agree(part, target):
        raise TryAgain("its digest is not the one that the archive publishes", anew=True)


def _finish(destination: Destination, target: Target, partial: PartialFile) -> ManifestEntry:
    entry = describe(destination.part, target, partial.validator)
    os.replace(destination.part, destination.path)
    destination.drop()
    return entry


def describe(path: Path, target: Target, version: str = "") -> ManifestEntry:
    """The line of a complete file in a manifest.

    Args:
        path: Where its bytes are.
        target: What it is.
        version: ETag or date that the server gave.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return ManifestEntry(target.path, target.url, path.stat().st_size, file_digest(path), version, now)
