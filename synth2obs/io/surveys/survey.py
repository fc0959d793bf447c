"""What a survey is to the rest of the package: a reader of its files, its options, and its provenance."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, get_type_hints

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import bare_name
from synth2obs.io.surveys.record import Record

Column = NDArray[np.float64]

ID, OBJECT, FILE = "id", "object", "file"
"""By what a table of labels names spectra."""

Unit = tuple[Path, ...]
"""Files that belong to one observation."""

Reader = Callable[[Unit, Any], Iterable[Record | DataError]]
"""Records of one observation, one after the other; a refusal in the place of one leaves the others as they are."""


@dataclass(frozen=True, kw_only=True)
class NoOptions:
    """A survey whose files can be read in one way only."""


@dataclass(frozen=True)
class Parameters:
    """A table of labels, by the name that records give in ``native["object"]``, or in another place. M objects.

    Args:
        objects: Names, shape (M,); of a name that occurs twice the first counts.
        values: Labels in the units of `core.labels`, NaN = unknown, shape (M,) each.
        errors: Their errors, shape (M,) each.
        facts: Whatever else the table says, numbers or text, shape (M,) each; it goes into ``native``.
        key: Where records have the name: `OBJECT`, `FILE` or `ID`.
    """

    objects: NDArray[np.str_]
    values: Mapping[str, Column]
    errors: Mapping[str, Column] = field(default_factory=dict)
    facts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    key: str = OBJECT

    def of(self, objects: NDArray[np.str_]) -> tuple[dict[str, Column], dict[str, Column]]:
        """Labels and errors of the given objects, NaN for those that the table does not have."""
        rows = self.rows(objects)
        values, errors = (
            {n: _picked(c, rows) for n, c in table.items()} for table in (self.values, self.errors)
        )
        return values, errors

    def facts_of(self, objects: NDArray[np.str_]) -> dict[str, NDArray[Any]]:
        """Facts of the given objects, NaN or empty for those that the table does not have."""
        rows = self.rows(objects)
        return {name: _picked(column, rows) for name, column in self.facts.items()}

    def rows(self, objects: NDArray[np.str_]) -> NDArray[np.int64]:
        """Row of each object, −1 for those that the table does not have; a file is found without its ending, too."""
        row = {name: number for number, name in reversed(list(enumerate(self.objects.tolist())))}
        if self.key == FILE:
            row = {bare_name(name): number for name, number in row.items()} | row
            return np.array([row.get(n, row.get(bare_name(n), -1)) for n in objects.tolist()], np.int64)
        return np.array([row.get(name, -1) for name in objects.tolist()], dtype=np.int64)


def _picked(column: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    blank = "" if column.dtype.kind == "U" else np.nan
    return np.append(column, blank)[rows]


def each_alone(paths: Sequence[Path]) -> list[Unit]:
    """Every file is an observation of its own."""
    return [(path,) for path in paths]


@dataclass(frozen=True, kw_only=True)
class SurveyReader:
    """How to read a survey's native files.

    Args:
        name: Domain of the shards.
        read: Turns the files of one observation into records.
        options: Frozen dataclass of the reader's options; every field has a default unless the user must say it.
        group: Which files belong together.
        parameters: Reads the survey's table of labels, if it has one.
        columns: Names of ours for columns that a table with a column id, object or file may have under the owner's.
        labels: Labels that a shard has even where all are unknown.
        flag_names: Name of each bit of ``flags``.
        about: Title, citation and what was assumed, for the provenance.
        rows: Whether a file has a row per star, each of which is left out alone.
        same_pixels: Whether all spectra must have the same wavelengths.
        experimental: Whether no native file of a star was at hand when the reader was written.
    """

    name: str
    read: Reader
    about: Mapping[str, Any]
    options: type = NoOptions
    group: Callable[[Sequence[Path]], list[Unit]] = each_alone
    parameters: Callable[[Path], Parameters] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    flag_names: Mapping[int, str] = field(default_factory=dict)
    rows: bool = False
    same_pixels: bool = False
    experimental: bool = False


class Configurable(Protocol):
    """What takes options: a survey's reader, or its archive."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def options(self) -> type:
        """Frozen dataclass of its options."""
        ...


class Unwanted(DataError):  # noqa: N818 - nothing is wrong with the file
    """A file that is as it should be, but holds no spectrum that was asked for."""


def make_options(survey: Configurable, given: Mapping[str, Any]) -> Any:
    """The survey's options, from Python values or from text as a command line gives it.

    Raises:
        DataError: For an option that the survey does not take, a value of the wrong kind, or a missing one.
    """
    known = {one.name: one for one in fields(survey.options)}
    unknown = sorted(set(given) - set(known))
    if unknown:
        choice = ", ".join(known) or "none"
        raise DataError(f"{survey.name} takes no {', '.join(unknown)}", remedy=f"its options: {choice}")
    missing = [n for n, one in known.items() if n not in given and one.default is MISSING]
    if missing:
        raise DataError(f"{survey.name} must be told {', '.join(missing)}", remedy="give the option")
    kinds = get_type_hints(survey.options)
    return survey.options(**{name: _value(name, value, kinds[name]) for name, value in given.items()})


def _value(name: str, value: Any, kind: Any) -> Any:
    optional_float = float | None
    if kind in (float, optional_float) and value is not None:
        try:
            return float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"must be a number, got {value!r}", field=name, remedy="give a number") from error
    return Path(value) if kind is Path else value


def choose(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an option that is none of its choices.

    Raises:
        DataError: Naming option, value and choices.
    """
    if value not in choices:
        raise DataError(f"got {value!r}", field=name, remedy=f"use one of {', '.join(choices)}")


def check_resolution(value: float | None) -> None:
    """Refuse a resolving power that is not finite and positive.

    Raises:
        DataError: Naming the value.
    """
    if value is not None and not 0 < value < float("inf"):
        raise DataError(f"must be positive, got {value}", field="resolving_power", remedy="give λ / FWHM")


def parse_options(pairs: Sequence[str]) -> dict[str, str]:
    """Options as a command line gives them.

    Args:
        pairs: Texts ``name=value``.

    Raises:
        DataError: For a text without ``=``, or a name that occurs twice.
    """
    options: dict[str, str] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or not name or name in options:
            raise DataError(f"got {pair!r}", field="option", remedy="give each option once, as name=value")
        options[name] = value
    return options
