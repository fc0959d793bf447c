"""The real data that come with the package."""

from importlib import resources
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.files import as_path

SAME_STARS = "same_stars.csv"

EMBEDDED = {
    "optical_grid": "optical_grid.h5",
    "miles": "miles.h5",
    "stelib": "stelib.h5",
}
"""Shards by name; what they are, their licence and citation stand in ``synth2obs/data/README.md``."""

TABLES = {"same_stars": SAME_STARS, "strong_lines": "strong_lines.csv"}
"""What comes with them."""

PREFIX = "embedded:"


def embedded_path(name: str) -> Path:
    """The file of an embedded shard or table.

    Raises:
        DataError: For an unknown name, or an installation without its data.
    """
    files = EMBEDDED | TABLES
    if name not in files:
        raise DataError(f"no embedded data named {name!r}", remedy=f"there are {', '.join(sorted(files))}")
    return _installed(files[name])


def resolve(path_or_name: str | Path) -> Path:
    """A path as it is, or the file of ``embedded:<name>``.

    Raises:
        DataError: For an unknown embedded name, or what is no path.
    """
    text = str(path_or_name)
    if text.startswith(PREFIX):
        return embedded_path(text.removeprefix(PREFIX))
    return as_path("shard", path_or_name)


def same_stars() -> dict[str, str]:
    """Stars that are in both embedded surveys: MILES id (``MILES_0018``) to STELIB id (``HD002857``)."""
    # Whoever only reads shards needs no readers of native files.
    from synth2obs.io.surveys.matches import read_matches

    return read_matches(_installed(SAME_STARS))


def _installed(file: str) -> Path:
    path = Path(str(resources.files("synth2obs") / "data" / file))
    if not path.is_file():
        raise DataError("is missing from the installation", path=path, remedy="install the package again")
    return path
