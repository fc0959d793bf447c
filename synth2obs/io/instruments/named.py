"""Descriptions by name or file, and a table of those that come with the package."""

import difflib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from synth2obs.core.config_io import load_config
from synth2obs.core.errors import DataError
from synth2obs.io.instruments.described import InstrumentDescription, describe
from synth2obs.io.instruments.settings import InstrumentSettings
from synth2obs.io.tables import as_table

SUFFIX = ".toml"


def names() -> tuple[str, ...]:
    """Names of the instruments that come with the package, in order."""
    return tuple(sorted(path.stem for path in _folder().glob(f"*{SUFFIX}")))


def named(given: Any) -> InstrumentDescription:
    """An instrument: a name, the path of a description, or a description as it is.

    Raises:
        ConfigError: For a file that cannot be read, or is no description of an instrument.
        DataError: For an unknown name, or what is neither.
    """
    if isinstance(given, InstrumentDescription):
        return given
    if isinstance(given, Path) or (isinstance(given, str) and given.endswith(SUFFIX)):
        return describe(load_config(InstrumentSettings, given))
    if not isinstance(given, str) or given not in names():
        near = difflib.get_close_matches(given, names(), 1) if isinstance(given, str) else []
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise DataError(
            f"no instrument named {given!r}",
            field="instrument",
            remedy=f"{hint}there are {', '.join(names())}; or give the path of a description, mine{SUFFIX}",
        )
    return _packaged(given)


def overview() -> Any:
    """All instruments of the package as an `astropy.table.Table`."""
    rows = [_packaged(name).facts() for name in names()]
    columns: dict[str, ArrayLike] = {name: [row[name] for row in rows] for name in rows[0]}
    return as_table(columns, {})


@cache
def _packaged(name: str) -> InstrumentDescription:
    return describe(load_config(InstrumentSettings, _folder() / f"{name}{SUFFIX}"))


def _folder() -> Path:
    return Path(str(resources.files("synth2obs") / "data" / "instruments"))
