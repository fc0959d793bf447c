"""Parts of the package whose libraries are extras: what to install where they are missing."""

from importlib.util import find_spec

from synth2obs.core.errors import ExtraMissingError


def require(extra: str, what: str, *modules: str) -> None:
    """Refuse a part whose libraries are not installed.

    Args:
        extra: Of the package, as in ``synth2obs[train]``.
        what: Needs them, in the plural.
        modules: By which the libraries are imported.

    Raises:
        ExtraMissingError: With what is missing and how to install it.
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise ExtraMissingError(
            f"{what} need {', '.join(missing)}, not installed here; pip install 'synth2obs[{extra}]'"
        )
