"""Files that are either whole or absent, their digests, and folders in which one process works at a time."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError, OutputError, Synth2ObsError

REMEDIES = {
    errno.ENOSPC: "free some space or choose another disk",
    errno.EDQUOT: "your quota is used up: free some space or choose another disk",
    errno.EFBIG: "the disk or a limit (ulimit -f) allows no larger file: raise it or choose another disk",
    errno.EROFS: "the disk is read-only: choose another folder",
    errno.EACCES: "you may not write there: choose another folder or change its permissions",
    errno.EPERM: "you may not write there: choose another folder or change its permissions",
    errno.EISDIR: "a folder of that name is in the way: choose another name",
    errno.ENOTDIR: "a file is in the way of the folder: choose another folder",
    errno.EEXIST: "a file is in the way of the folder: choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}
"""What a user can do about each kind of failure to write."""


LONGEST = 1024
"""Letters of a text that may be the path of a file."""


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of ``target`` that becomes ``target`` when the block succeeds.

    The temporary file keeps the suffix of the target, is flushed to the disk before it is renamed,
    and is removed when the block raises; the old target stays as it was until then. Missing folders
    are created. The block must have closed the file when it ends.

    Args:
        target: File to write.

    Yields:
        The path to write to.

    Raises:
        OutputError: If the file cannot be written; other exceptions of the block pass unchanged.
    """
    target = Path(os.path.realpath(target))
    temporary = target.with_name(f".{target.stem[:64]}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    except OSError as error:
        if not _concerns(error, temporary, target):
            raise
        raise output_error(error, target) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def as_path(name: str, given: Any) -> Path:
    """What somebody says of a file.

    Raises:
        DataError: If it is no path.
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise DataError(f"must be a path, got {given!r}", field=name, remedy="give a file's name")
    return Path(given)


def write_atomic(path: str | Path, content: bytes) -> None:
    """Write bytes so that ``path`` holds either the old content or all of the new.

    Raises:
        OutputError: If the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json_atomic(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinities are refused.

    Raises:
        OutputError: If the file cannot be written.
        ValueError: If the value holds a number that JSON does not know.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def file_sha256(path: str | Path) -> str:
    """sha256 of a file's content, in hexadecimal.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path, remedy="check the name") from error


def refuse_overwriting(out: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Refuse to write a result onto what it is made of, by whatever name or link.

    Args:
        out: File to write.
        inputs: What is read: files, or folders of which nothing may be written over; None and what is not there,
            such as the address of a model, do not count.

    Raises:
        OutputError: Naming both.
    """
    target = Path(os.path.realpath(out))
    for one in inputs:
        if one is not None and _is_or_holds(one, target):
            same = "" if str(one) == str(out) else f" ({one})"
            raise OutputError(
                f"{out}: is read by this command{same}, and would be lost; choose another --out"
            )


def _is_or_holds(source: str | Path, target: Path) -> bool:
    """Whether a file is the target, or a folder holds it."""
    try:
        if not target.exists() or not os.path.exists(source):
            return os.path.realpath(source) == str(target)
        if os.path.samefile(source, target):
            return True
        return target.is_relative_to(os.path.realpath(source))
    except (OSError, ValueError):
        return False


def refuse_within(folder: str | Path, names: Iterable[str], inputs: Iterable[str | Path | None]) -> None:
    """Refuse a folder of results in which something that is read stands where results go.

    Args:
        folder: What is written into.
        names: Files and folders that are written in it.
        inputs: Files that are read.

    Raises:
        OutputError: Naming the input.
    """
    places = [Path(os.path.realpath(Path(folder) / name)) for name in names]
    for one in inputs:
        source = Path(os.path.realpath(one)) if one is not None else None
        if source is not None and any(source == place or place in source.parents for place in places):
            raise OutputError(
                f"{one}: is read by this command, and {folder} would be written over it; choose another --out"
            )


def named_files(settings: Any, folder: str | Path = ".") -> Iterator[Path]:
    """Every file that a tree of settings names, relative to a folder."""
    if isinstance(settings, Mapping):
        settings = list(settings.values())
    if isinstance(settings, list | tuple):
        for item in settings:
            yield from named_files(item, folder)
    elif isinstance(settings, str | Path) and 0 < len(str(settings)) < LONGEST and "\0" not in str(settings):
        with suppress(OSError):
            if (path := Path(folder) / settings).is_file():
                yield path


@contextmanager
def folder_lock(folder: str | Path, name: str, busy: Synth2ObsError, timeout: float = 0.0) -> Iterator[None]:
    """Hold a folder, which is made if it is missing, so that one process at a time works in it.

    Args:
        folder: What is locked.
        name: Name of the lock's file in it.
        busy: What to raise if another process holds it.
        timeout: Seconds to wait for that process.

    Raises:
        OutputError: If the folder or its lock cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(Path(folder) / name, timeout=timeout)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise busy from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot write in {folder}: {reason}; choose another folder") from error
    try:
        yield
    finally:
        lock.release()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _concerns(error: OSError, temporary: Path, target: Path) -> bool:
    """Whether an error is about this output, and not about another file that the block read."""
    if not isinstance(error.filename, (str, os.PathLike)):
        return True
    named = Path(error.filename)
    return named in (temporary, target) or named in target.parents


def output_error(error: OSError, target: Path) -> OutputError:
    """What a failure to write means for the person whose file it is, with what can be done about it."""
    reason = error.strerror or str(error) or type(error).__name__
    remedy = REMEDIES.get(error.errno or 0, "choose another file or folder")
    return OutputError(f"cannot write {target}: {reason}; {remedy}")
