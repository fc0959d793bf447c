"""Digests of a run's numbers, in a file beside them, by which a change on the disk is noticed when they are read."""

import json
from collections.abc import Iterable
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256, write_json_atomic

DIGESTS = "digests.json"
"""Name of the file: sha256 by path within the folder."""


def forget_digests(folder: Path) -> None:
    """Remove a folder's digests before what they are of is written again; a kill meanwhile leaves none."""
    (folder / DIGESTS).unlink(missing_ok=True)


def keep_digests(folder: Path, files: Iterable[Path]) -> None:
    """Write the digests of some files of a folder.

    Raises:
        DataError: If one of them cannot be read.
        OutputError: If the digests cannot be written.
    """
    found = {file.relative_to(folder).as_posix(): file_sha256(file) for file in sorted(files)}
    write_json_atomic(folder / DIGESTS, found)


def refuse_changed(path: Path) -> None:
    """Refuse a file that is not as it was written; one that has no digest, as in older runs, is let pass.

    The digests are looked for in the file's folder and in the one above.

    Raises:
        DataError: Naming the file.
    """
    if not path.is_file():
        return
    for folder in (path.parent, path.parent.parent):
        known = _known(folder / DIGESTS)
        name = path.relative_to(folder).as_posix()
        if name not in known:
            continue
        if file_sha256(path) != known[name]:
            raise DataError(
                f"has changed since it was written: its sha256 is not that of {DIGESTS}",
                path=path,
                remedy="put the file back, or delete it and run the same command, which evaluates again",
            )
        return


def _known(path: Path) -> dict[str, str]:
    """The digests of a folder; empty if it has none."""
    if not path.is_file():
        return {}
    try:
        return {str(name): str(digest) for name, digest in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        remedy = "put it back, or delete it: then nothing vouches for the numbers beside it"
        raise DataError(f"cannot be read ({type(error).__name__})", path=path, remedy=remedy) from error
