"""Units that a file states, against those that a description says: they must not contradict each other."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.given import refuse_logarithm

SPELLINGS = {
    **dict.fromkeys(("a", "aa", "ang", "angstroms", "ångström", "å", "0.1 nm", "0.1nm"), "Angstrom"),
    **dict.fromkeys(("nanometer", "nanometers", "nanometre", "nanometres"), "nm"),
    **dict.fromkeys(("micron", "microns", "micrometer", "micrometers", "micrometre", "µm", "μm"), "um"),
    **dict.fromkeys(("kelvin", "kelvins", "degk", "deg k"), "K"),
    **dict.fromkeys(("kms-1", "km s^-1", "kms", "km/sec"), "km/s"),
}
"""Units as people write them, in lower case; a lone A is no ampere in a spectrum."""

LOGARITHMS = ("log10(", "log(", "lg(", "dex(")
SAME = 1e-6


def refuse_contradiction(
    said: Any, described: str, path: Path, name: str, what: str = "unit", by: str = "it is described as"
) -> None:
    """Refuse a unit of the file's that is another one than the description's; one that nobody knows is no objection.

    Args:
        said: By the file; blank or None if it says nothing.
        described: By the description, or by what the project takes such a column to be in.
        path, name: File and column.
        what: Key of the description, for the remedy.
        by: Who describes it, for the message.

    Raises:
        DataError: Naming both units.
    """
    mine, other = _known("" if said is None else str(said)), _known(described)
    if mine is None or other is None or _agree(mine, other):
        return
    raise DataError(
        f"has unit {str(said).strip()!r}, but {by} {described!r}",
        path=path,
        field=name,
        remedy=f"correct {what} in the description, or the unit in the file",
    )


@lru_cache(maxsize=256)
def _known(text: str) -> tuple[bool, Any] | None:
    """Whether a unit is a logarithm, and of what; None if it says nothing."""
    from astropy import units

    plain = text.strip()
    lower = plain.lower()
    start = next((one for one in LOGARITHMS if lower.startswith(one)), "")
    inner = plain[len(start) :].removesuffix(")") if start else plain
    if not inner:
        return None
    try:
        # How a file spells a unit that can be told is nobody's concern.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(start), units.Unit(SPELLINGS.get(inner.strip().lower(), _cased(inner.strip())))
    except (ValueError, TypeError):
        return None


def _cased(text: str) -> str:
    """Angstrom however it is written; other units as they are."""
    return (
        "Angstrom"
        if text.lower() == "angstrom"
        else text.lower()
        if text.isupper() and len(text) == 2
        else text
    )


def _agree(one: tuple[bool, Any], other: tuple[bool, Any]) -> bool:
    from astropy import units

    if one[0] != other[0]:
        return False
    try:
        return bool(abs(one[1].to(other[1]) - 1.0) < SAME)
    except (units.UnitConversionError, ValueError, TypeError):
        return False


def refuse_log_flux(unit: str | None, path: Path, name: str) -> None:
    """Refuse a flux in magnitudes or dex; a unit that astropy does not know is not looked at.

    Raises:
        DataError: Naming the column and its unit.
    """
    from astropy.units import Unit

    # Magnitudes of a system are no unit of astropy's by the names that people give them.
    in_words = (unit or "").strip().lower()
    known = Unit("mag" if in_words.endswith(("mag", "mags")) else unit or "", parse_strict="silent")
    try:
        refuse_logarithm(name, known)
    except DataError as error:
        raise DataError(
            f"has unit {unit!r}, a logarithm", path=path, field=name, remedy=error.remedy
        ) from None
