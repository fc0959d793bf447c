"""What an archive is asked for: one file a target."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text


@dataclass(frozen=True)
class Target:
    """One file.

    Args:
        path: Where it goes below the output folder, with ``/``.
        url: Its address, as it may be shown and written down.
        secret: Parameters of the query that may not, such as a user's token.
    """

    path: str
    url: str
    secret: Mapping[str, str] = field(default_factory=dict)


def read_ids(given: Sequence[str]) -> list[str]:
    """Ids as they are, and those in text files: the first column, ``#`` begins a comment; none twice.

    Raises:
        DataError: If a file cannot be read or has no id.
    """
    ids: dict[str, None] = {}
    for one in given:
        ids.update(dict.fromkeys(_file_ids(Path(one)) if Path(one).is_file() else [one]))
    return list(ids)


def _file_ids(path: Path) -> list[str]:
    lines = read_text(path).splitlines()
    columns = [re.split(r"[\s,]+", line.partition("#")[0].strip()) for line in lines]
    ids = [column[0] for column in columns if column[0]]
    if not ids:
        raise DataError("holds no id", path=path, remedy="write an id a line")
    return ids


def checked_ids(ids: Sequence[str], pattern: str, example: str) -> Sequence[str]:
    """Ids of which every one looks as it must.

    Raises:
        DataError: Naming the first that does not, or that there is none.
    """
    if not ids:
        raise DataError("no ids given", field="--ids", remedy=f"name at least one, e.g. {example}")
    for one in ids:
        if re.fullmatch(pattern, one, re.ASCII) is None:
            raise DataError(
                f"{one!r} is neither an id nor a file", field="--ids", remedy=f"an id is like {example}"
            )
    return ids


def checked_base(url: str) -> str:
    """Start of addresses, without a slash at its end.

    Raises:
        DataError: If it is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment:
        raise DataError(f"got {url!r}", field="--base-url", remedy="write https://host or https://host/path")
    return url.rstrip("/")
