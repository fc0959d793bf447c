"""Native files of surveys, one reader a module."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.surveys.miles import read_miles
from synth2obs.io.surveys.stelib import read_stelib

Reader = Callable[..., Spectra]

READERS: dict[str, Reader] = {
    "miles": read_miles,
    "stelib": read_stelib,
}
"""Every survey that can be ingested."""


def read_survey(name: str, paths: Sequence[str | Path], **options: Any) -> Spectra:
    """Native files of a survey as spectra.

    Args:
        name: A key of `READERS`.
        paths: The survey's own files.
        options: What the survey's reader takes besides, e.g. ``parameters`` for MILES.

    Raises:
        DataError: For an unknown survey, an option that its reader does not take, or unreadable files.
    """
    if name not in READERS:
        raise DataError(f"unknown survey {name!r}", remedy=f"known surveys: {', '.join(sorted(READERS))}")
    reader = READERS[name]
    unknown = set(options) - set(inspect.signature(reader).parameters)
    if unknown:
        raise DataError(
            f"{name} takes no {', '.join(sorted(unknown))}", remedy="leave the option out for this survey"
        )
    return reader(paths, **options)
