"""Cards of FITS headers, read so that an error names the file and the card."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.core.errors import DataError

BELOW = re.compile(r"-9{3,}(\.9*|\.0*)?")
"""-999, -9999.9 and the like, which no card holds but for the unknown; 999 may be the number of a fibre."""

REPAIR = "repair the header or leave the file out"


@dataclass(frozen=True)
class Cards:
    """Cards of one header.

    Args:
        header: astropy's header.
        path: Its file, for messages.
    """

    header: Any
    path: Path

    def get(self, card: str) -> Any:
        """Value of a card; None if it is missing or cannot be parsed."""
        try:
            value = self.header.get(card)
        except Exception:
            return None
        return value.strip() if isinstance(value, str) else value

    def number(self, card: str) -> float:
        """A card that must hold a finite number.

        Raises:
            DataError: If it is missing or holds something else.
        """
        value = self.get(card)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
            state = "is missing" if value is None else f"must be a number, got {value!r}"
            raise DataError(f"header card {state}", path=self.path, field=card, remedy=REPAIR)
        return float(value)

    def optional(self, card: str) -> float:
        """A number that a header may leave out, blank, as text, as ``-`` or as -9999: NaN when it is not one."""
        number = optional_number(self.get(card))
        return float("nan") if BELOW.fullmatch(f"{number:.6g}") else number

    def text(self, card: str) -> str:
        """A card that must hold text or a whole number.

        Raises:
            DataError: If it is missing or empty.
        """
        value = self.get(card)
        if isinstance(value, (bool, float)) or value is None or not str(value):
            raise DataError(
                f"header card must name something, got {value!r}", path=self.path, field=card, remedy=REPAIR
            )
        return str(value)


@dataclass(frozen=True)
class Headers:
    """Cards of all headers of a file; only those that are asked for have to make sense.

    Args:
        headers: astropy's, in the order of the file.
        path: Its file, for messages.
    """

    headers: Sequence[Any]
    path: Path

    def get(self, card: str) -> Any:
        """Value of a card in the first header that has it; None if none has.

        Raises:
            DataError: If it breaks the standard so that it has no value.
        """
        for header in self.headers:
            try:
                value = header[card] if card in header else None
            except Exception as error:
                raise DataError(
                    f"cannot be read ({error})", path=self.path, field=card, remedy=REPAIR
                ) from error
            if value is not None:
                return value
        return None


def optional_number(value: Any) -> float:
    """A finite number, or NaN for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return number if np.isfinite(number) else float("nan")
