"""The files that a description means."""

from collections.abc import Sequence
from pathlib import Path

from synth2obs.core.errors import DataError


def find_files(patterns: str | Sequence[str], folder: Path) -> tuple[Path, ...]:
    """Files by name or pattern, sorted by name; a folder stands for all files in it.

    Raises:
        DataError: If a pattern fits none.
    """
    found: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        here = _matching(pattern, folder)
        if not here:
            raise DataError(
                f"no file fits {pattern!r}", path=folder, field="files", remedy="check name and folder"
            )
        found |= dict.fromkeys(here)
    for path in found:
        if not path.stat().st_size:
            raise DataError("is empty", path=path, field="files", remedy="copy the file again")
    return tuple(found)


def _matching(pattern: str, folder: Path) -> list[Path]:
    path = folder / pattern
    if path.is_dir():
        return sorted(one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    if path.is_absolute():
        folder, pattern = Path(path.anchor), str(path.relative_to(path.anchor))
    return sorted(one for one in folder.glob(pattern) if one.is_file())


def only(files: Sequence[Path]) -> Path:
    """The one file of a format that has all spectra in one.

    Raises:
        DataError: If there are several.
    """
    if len(files) > 1:
        raise DataError(
            f"{len(files)} files, but this format has all spectra in one",
            path=files[0].parent,
            field="files",
            remedy="name one file, and give each a description of its own",
        )
    return files[0]


def beside(path: Path, name: str) -> Path:
    """A file that is named from the folder of another.

    Raises:
        DataError: If it is not there.
    """
    found = path.parent / name
    if not found.is_file():
        raise DataError(
            "no such file", path=found, remedy=f"check the name; it is read from the folder of {path.name}"
        )
    return found
