"""Text that others have chosen, such as the names of stars, made fit for where it goes."""

import hashlib
import re
import unicodedata
from typing import Any

HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what a terminal obeys or nobody sees: controls, formats, lone surrogates, separators."""

FORMULA = "=+-@\t\r"
"""Letters with which a spreadsheet takes a cell of a CSV for a formula."""

QUOTE = "'"
"""Before such a cell: a spreadsheet shows what follows as text."""

LONGEST = 100
"""Bytes of a name that becomes part of a file's name."""


def visible(text: str, keep: str = "") -> str:
    r"""A text on one line in which nothing is hidden: ESC becomes ``\x1b``, a line's end ``\n``.

    Args:
        text: Any.
        keep: Letters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(one if one in keep or not _is_hidden(one) else _escaped(one) for one in text)


def _is_hidden(one: str) -> bool:
    return unicodedata.category(one) in HIDDEN


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")


def storable(text: str) -> str:
    r"""A text for UTF-8 of a fixed length: lone surrogates, which names of files may have, and NUL as ``\x00``."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", r"\x00")


def file_part(text: str) -> str:
    """A part of a file's name for a text: no two texts have the same.

    What is no letter, digit, ``_``, ``.``, ``+`` or ``-`` becomes ``_``; a text that is changed or long gets a digest.
    """
    near = re.sub(r"[^\w.+-]+", "_", text)
    while len(near.encode()) > LONGEST:
        near = near[: max(len(near) * LONGEST // len(near.encode()) - 1, 1)]
    if near == text:
        return text
    return f"{near}-{hashlib.sha256(text.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"


def as_cell(value: Any) -> str:
    """A text as a cell of a CSV that no spreadsheet computes; numbers that stand as text stay."""
    text = visible(str(value))
    return QUOTE + text if _computes(text) and not _is_number(text) else text


def from_cell(text: str) -> str:
    """What `as_cell` was given, hidden letters excepted."""
    return text[1:] if text[:1] == QUOTE and _computes(text) else text


def _computes(text: str) -> bool:
    """Whether a text is a formula, or one with quotes before it."""
    return text.lstrip(QUOTE)[:1] in tuple(FORMULA)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
