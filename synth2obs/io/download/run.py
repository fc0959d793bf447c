"""Many files from an archive: what is there already stays, what fails is told at the end."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from synth2obs.core.errors import DataError, Interrupted
from synth2obs.core.files import named_files, output_error, refuse_within
from synth2obs.io.download.archives import find_archive
from synth2obs.io.download.checksums import Checksums
from synth2obs.io.download.client import Client
from synth2obs.io.download.manifest import NAME, Manifest
from synth2obs.io.download.pace import Closed, NotGiven, Pace, TryAgain
from synth2obs.io.download.target import Target, checked_base, read_ids
from synth2obs.io.download.transfer import describe, fetch
from synth2obs.io.download.whole import fault
from synth2obs.io.ingest.parts import Skipped
from synth2obs.io.surveys.survey import make_options

GIVE_UP = 5
"""Files in a row without a usable answer after which no more are asked for."""

Progress = Callable[[int, int, int], None]


@dataclass
class DownloadSummary:
    """What a download has done.

    Args:
        folder: Where the files are.
        fetched: Files that came.
        present: Files that were there.
        size: Bytes that came.
        failed: Files that did not come, and why.
    """

    folder: Path
    fetched: int = 0
    present: int = 0
    size: int = 0
    failed: list[Skipped] = field(default_factory=list)

    def __str__(self) -> str:
        """Some lines for people, with a table of what failed."""
        lines = [
            f"{self.folder}: {self.fetched} files downloaded ({self.size / 1e6:.1f} MB), {self.present} were there"
        ]
        if self.failed:
            width = max(len(one.file) for one in self.failed)
            lines.append(f"failed      {len(self.failed)}:")
            lines += [f"  {one.file:<{width}}  {one.reason}" for one in self.failed]
        return "\n".join(lines)


def download(
    survey: str,
    ids: Sequence[str],
    out: str | Path,
    *,
    base_url: str | None = None,
    checksums: Sequence[str | Path] = (),
    pace: Pace | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> DownloadSummary:
    """Download native files of a survey.

    The same call goes on where an interrupted one stopped, in the middle of a file if the server can, and verifies
    what is there: by the manifest's sha256, or, for files that are not in it, by their own structure.

    Args:
        survey: A key of `archives.ARCHIVES`.
        ids: Ids, or text files of ids.
        out: Folder of the files and of ``manifest.jsonl``.
        base_url: Another start of all addresses, for a mirror.
        checksums: Published lists of digests.
        pace: How often to ask, how long to wait.
        progress: Called with files finished, files in all and bytes received.
        options: Fields of the archive's options, as values or as text.

    Raises:
        DataError: For an unknown survey, option or id, a list that cannot be read, another download into the same
            folder, or an archive that does not find what it is asked for.
        OutputError: If something cannot be written.
        Interrupted: After Ctrl-C.
    """
    archive = find_archive(survey)
    settings = make_options(archive, options)
    base = checked_base(archive.base if base_url is None else base_url)
    inputs = [*named_files([*ids]), *map(Path, checksums), *named_files(vars(settings))]
    named, sums, folder = read_ids(ids), Checksums(checksums), Path(out)
    with closing(Client(pace or Pace())) as client:
        found = archive.search(settings, base, client)
        targets = list({one.path: one for one in archive.targets([*named, *found], settings, base)}.values())
        refuse_within(folder, [NAME, *(target.path for target in targets)], inputs)
        with _alone(folder):
            return _Run(targets, folder, sums, client, progress).all()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder, for one download at a time."""
    lock = FileLock(folder / ".download.lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise DataError("another download is writing there", path=folder, remedy="wait for it") from error
    except OSError as error:
        raise output_error(error, folder) from error
    try:
        yield
    except OSError as error:
        raise output_error(error, Path(error.filename or folder)) from error
    finally:
        lock.release()


class _Run:
    """One call of `download`."""

    def __init__(
        self, targets: list[Target], folder: Path, sums: Checksums, client: Client, progress: Progress | None
    ) -> None:
        self.targets, self.folder, self.sums, self.client = targets, folder, sums, client
        self.manifest = Manifest(folder)
        self.summary = DownloadSummary(folder)
        self.progress = progress or (lambda done, total, size: None)
        self.silent, self.stopped = 0, ""

    def all(self) -> DownloadSummary:
        try:
            for number, target in enumerate(self.targets):
                self._one(target, number)
                self._tell(number + 1)
        except KeyboardInterrupt:
            done = self.summary.fetched + self.summary.present
            raise Interrupted(
                f"{done} of {len(self.targets)} files are in {self.folder}; the same command goes on"
            ) from None
        return self.summary

    def _one(self, target: Target, number: int) -> None:
        if self._there(target):
            self.summary.present += 1
            return
        if self.stopped:
            self._failed(target, f"not asked for: {self.stopped}")
            return
        try:
            entry = fetch(target, self.folder, self.client, self.sums, lambda size: self._came(size, number))
        except NotGiven as error:
            self._failed(target, str(error))
            self._stop(error)
            return
        self.manifest.add(entry)
        self.summary.fetched += 1
        self.silent = 0

    def _there(self, target: Target) -> bool:
        """Whether a file is complete; one that a killed run could not write down any more is written down."""
        path, entry = self.folder / target.path, self.manifest.entries.get(target.path)
        if not path.is_file() or not self.sums.agree(path, target):
            return False
        if entry is not None:
            return entry.holds(path)
        if not os.path.getsize(path) or fault(path) is not None:
            return False
        self.manifest.add(describe(path, target))
        return True

    def _stop(self, error: NotGiven) -> None:
        """Ask for no more where it would be of no use."""
        self.silent = self.silent + 1 if isinstance(error, TryAgain) else 0
        if isinstance(error, Closed):
            self.stopped = str(error)
        elif self.silent >= GIVE_UP:
            self.stopped = f"{GIVE_UP} files in a row failed"

    def _failed(self, target: Target, reason: str) -> None:
        self.summary.failed.append(Skipped(target.path, reason))

    def _came(self, size: int, number: int) -> None:
        self.summary.size += size
        self._tell(number)

    def _tell(self, done: int) -> None:
        self.progress(done, len(self.targets), self.summary.size)
