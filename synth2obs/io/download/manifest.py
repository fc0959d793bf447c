"""What a folder of downloads holds: a line of JSON a file, added when it is complete."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from synth2obs.core.files import output_error
from synth2obs.io.download.checksums import file_digest

NAME = "manifest.jsonl"


@dataclass(frozen=True)
class ManifestEntry:
    """A complete file.

    Args:
        file: Place below the folder.
        url: Where it came from, without secrets.
        bytes: Its size.
        sha256: Its digest.
        validator: ETag or date of last change that the server gave; empty if none.
        downloaded: When, UTC.
    """

    file: str
    url: str
    bytes: int
    sha256: str
    validator: str
    downloaded: str

    def holds(self, path: Path) -> bool:
        """Whether a file is still the one that was downloaded."""
        return path.is_file() and path.stat().st_size == self.bytes and file_digest(path) == self.sha256


class Manifest:
    """The manifest of a folder; of a file that stands in it twice the last line counts.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.entries: dict[str, ManifestEntry] = {}
        self.cut = False
        if self.path.is_file():
            content = self.path.read_text(encoding="utf-8", errors="replace")
            self.cut = not content.endswith("\n") and bool(content)
            for line in content.splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        """A line; one that a killed run left cut says nothing, and its file is looked at anew."""
        try:
            entry = ManifestEntry(**json.loads(line))
        except (ValueError, TypeError):
            return
        self.entries[entry.file] = entry

    def add(self, entry: ManifestEntry) -> None:
        """Write down a file.

        Raises:
            OutputError: If the manifest cannot be written.
        """
        text = ("\n" if self.cut else "") + json.dumps(asdict(entry), ensure_ascii=False) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise output_error(error, self.path) from error
        self.cut = False
        self.entries[entry.file] = entry
