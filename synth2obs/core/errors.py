"""The errors that users see: what is wrong, where, with which value, and what to do about it."""

from pathlib import Path

from synth2obs.core.text import visible


class Synth2ObsError(Exception):
    """Base of every error that this package raises on purpose."""


class DataError(Synth2ObsError):
    """A file or a table of spectra that cannot be used as it is.

    Args:
        message: What is wrong, with the value that was found.
        path: File in which it was found, if any.
        field: Dataset, attribute or header card.
        remedy: What the user can do.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | Path | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(path)
        self.field = field
        self.remedy = remedy
        where = visible(": ".join(str(part) for part in (path, field) if part is not None))
        message, remedy = visible(message, "\n"), None if remedy is None else visible(remedy, "\n")
        text = f"{where}: {message}" if where else message
        super().__init__(f"{text}; {remedy}" if remedy else text)


class ConfigError(Synth2ObsError):
    """A configuration with an unknown key or a value out of range."""


class ModelError(Synth2ObsError):
    """A saved model that cannot be loaded, or one that is asked for what it does not know."""


class OutputError(Synth2ObsError):
    """A result that cannot be written: no permission, no space, or a file in the way."""


class ExtraMissingError(Synth2ObsError, ImportError):
    """A part of the package whose libraries are an extra that is not installed."""


class Interrupted(Synth2ObsError):  # noqa: N818 - it is no error
    """A training that was asked to stop; what it had done is on disk and the same command goes on.

    ``number`` is that of the signal that asked, Ctrl-C's unless it is known to be another.
    """

    number = 2
