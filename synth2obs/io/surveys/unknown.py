"""Marks of the unknown: what surveys write where they have no number."""

import re
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.labels import plausible
from synth2obs.io.surveys.cards import BELOW, optional_number

NINES = re.compile(r"-?9{3,}(\.9*|\.0*)?|-99(\.9+|\.0*)?")
"""-9999, -999.9, -99, 9999 and the like."""

BAD_FLUX = (-999.0, -9999.0, -99999.0, -32768.0)
"""Fluxes that stand for none, exactly so, in whatever unit."""

FASTEST = 2500.0
"""km/s that no star reaches: the fastest known has 1700 (S5-HVS1), and 20 km/s in m/s is 20 000."""

WORDS = frozenset(("", "nan", "null", "none", "n/a", "na", "-", "--", "---", "...", "…", "indef", "masked"))
"""What stands in cells of text without a number, in lower case."""


def velocity(value: Any, path: Any, name: str) -> float:
    """A star's velocity in km/s; NaN for none, or a mark of the unknown.

    Raises:
        DataError: For one that no star has, naming the card.
    """
    number = optional_number(value)
    if NINES.fullmatch(f"{number:.6g}"):
        return float("nan")
    if abs(number) > FASTEST:
        raise DataError(
            f"is {number:g} km/s, faster than any star",
            path=path,
            field=name,
            remedy="give km/s, and leave unknown velocities blank",
        )
    return number


def label(value: Any, name: str) -> float:
    """A label in its unit; NaN for none, a mark of the unknown, or what no star has."""
    number, (low, high) = optional_number(value), plausible(name)
    return number if low <= number <= high and not NINES.fullmatch(f"{number:.6g}") else float("nan")


def label_error(value: Any) -> float:
    """An error; NaN for none, or a mark of the unknown."""
    number = optional_number(value)
    return number if number >= 0 and not NINES.fullmatch(f"{number:.6g}") else float("nan")


def fact(value: Any) -> Any:
    """A fact as it is; NaN for a number -999, -9999 and the like."""
    is_mark = isinstance(value, (int, float)) and BELOW.fullmatch(f"{value:.6g}")
    return float("nan") if is_mark else value
