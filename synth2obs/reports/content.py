"""What a page is made of: sections of paragraphs, pictures, tables and notes; and how numbers are written."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

DASH = "—"
"""Shown for a value that was not measured."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Args:
        text: What is shown.
        best: Whether it is the best of its column.
        colour: CSS colour of a marker before the text, or empty.
        hint: Shown on hovering, e.g. why a value is missing.
    """

    text: str
    best: bool = False
    colour: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str
    kind: str = "paragraph"


@dataclass(frozen=True)
class Note:
    """A remark set apart; `warning` marks one that a reader must not miss."""

    text: str
    warning: bool = False
    kind: str = "note"


@dataclass(frozen=True)
class Picture:
    """A figure as a ``data:`` URI with its caption and its text alternative."""

    source: str
    caption: str
    title: str
    kind: str = "picture"


@dataclass(frozen=True)
class PageTable:
    """A table; the first column holds the row's name, the others are numbers set to the right.

    Args:
        columns, rows, caption: What is shown.
        words: Columns of words, which are set to the left.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    words: Sequence[int] = ()
    kind: str = "table"


@dataclass(frozen=True)
class Embedded:
    """HTML of one of our own templates, which has escaped what is not ours."""

    html: str
    kind: str = "embedded"


Block = Paragraph | Note | Picture | PageTable | Embedded


@dataclass(frozen=True)
class PageSection:
    """A titled part of the page, with an anchor for the table of contents."""

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)


def fixed(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A number with fixed decimals, a true minus sign, and a dash for None."""
    if value is None:
        return DASH
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def tidy(text: str) -> str:
    """Text whose numbers cannot be torn from their units at the end of a line."""
    for unit in ("%", "K", "dex", "σ", "Å"):
        text = text.replace(f" {unit}", f"\u00a0{unit}")
    return text.replace(" → ", "\u00a0→\u00a0").replace(" ± ", "\u00a0±\u00a0")


def percent(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A fraction as a percentage without its sign; the column or the sentence says %."""
    return fixed(times(value, 100.0), digits, sign=sign)


def with_error(value: float | None, error: float | None, digits: int = 2, *, sign: bool = False) -> str:
    """A value and its 1 σ error."""
    if value is None or error is None:
        return fixed(value, digits, sign=sign)
    return f"{fixed(value, digits, sign=sign)} ± {fixed(error, digits)}"


def times(value: float | None, factor: float) -> float | None:
    """A number in another unit; None stays None."""
    return None if value is None else factor * value


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    if not names:
        return DASH
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def decimals(error: float) -> int:
    """Decimals with which an error has two significant digits."""
    return max(0, 1 - math.floor(math.log10(abs(error)))) if error else 2


def significant(value: float | None, digits: int = 3) -> str:
    """A number with a given count of significant digits."""
    return DASH if value is None else f"{value:.{digits}g}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number."""
    return DASH if value is None else f"{int(value)}"


def cell(text: str, reason: str = "", **options: Any) -> Cell:
    """A cell whose hint gives the reason if the value is missing."""
    return Cell(text, hint=(reason or "not measured") if text == DASH else "", **options)


def moment(text: Any) -> str:
    """An ISO 8601 time as a reader writes it, to the minute; anything else unchanged."""
    try:
        when = datetime.fromisoformat(str(text))
    except ValueError:
        return "" if text is None else str(text)
    return when.strftime("%Y-%m-%d %H:%M %Z").strip()
