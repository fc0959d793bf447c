"""From files to records: every record checked, and marked with the files that it comes from."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.text import storable
from synth2obs.io.surveys.fits_file import refuse_unreadable
from synth2obs.io.surveys.record import Record, checked
from synth2obs.io.surveys.survey import SurveyReader, Unit

AGAIN = "check the file and the survey's name"
JOINT = " / "
"""Between the names of the files of one observation: no name can hold it."""


def read_unit(survey: SurveyReader, unit: Unit, options: Any) -> Iterator[Record | DataError]:
    """The records of one observation, one after the other; whatever goes wrong is a DataError that names a file.

    Of a file with a row per star, a row that cannot be used is a DataError in its place.

    Raises:
        DataError: If a file cannot be read or breaks a rule of the format.
    """
    for path in unit:
        refuse_unreadable(path)
    facts = {"file": JOINT.join(path.name for path in unit), "sha256": JOINT.join(map(file_sha256, unit))}
    try:
        for found in survey.read(unit, options):
            yield found if isinstance(found, DataError) else _checked(found, facts, unit, survey)
    except DataError as error:
        if error.path is None:
            raise DataError(str(error), path=unit[0]) from error
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read as {survey.name} ({type(error).__name__}: {error})", path=unit[0], remedy=AGAIN
        ) from error


def _checked(
    record: Record, facts: Mapping[str, str], unit: Unit, survey: SurveyReader
) -> Record | DataError:
    try:
        native = {name: _storable(value) for name, value in {**record.native, **facts}.items()}
        return checked(replace(record, id=storable(record.id), native=native), unit[0])
    except DataError as error:
        if survey.rows:
            return error
        raise


def _storable(value: float | str) -> float | str:
    return storable(value) if isinstance(value, str) else value


def sources(names: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Count and digest of native files.

    Args:
        names: Name and sha256 of each.

    Returns:
        ``files``, and ``sha256_of_list``: the sha256 of the sorted lines ``sha256  name``.
    """
    lines = sorted(f"{digest}  {name}" for name, digest in names)
    content = "\n".join(lines).encode("utf-8", "backslashreplace")
    return {"files": len(lines), "sha256_of_list": hashlib.sha256(content).hexdigest()}


def named(records: Iterable[Record]) -> Iterator[tuple[str, str]]:
    """Name and sha256 of every file that the records come from, each once."""
    pairs = {
        pair: None
        for record in records
        for pair in zip(
            str(record.native["file"]).split(JOINT), str(record.native["sha256"]).split(JOINT), strict=True
        )
    }
    return iter(pairs)
