"""Names of surveys, models and labels: they become files, parts of a model, and metrics; one pattern holds for all."""

import difflib
import re

from synth2obs.core.labels import KNOWN, usual_name

PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""A letter or digit, then letters, digits, ``_`` and ``-``; 64 characters at most."""

RULE = "use letters, digits, '_' and '-', beginning with a letter or digit, 64 at most"
"""The same in words."""


def is_name(text: str) -> bool:
    """Whether a text can name a survey or a model."""
    return re.fullmatch(PATTERN, text) is not None


def suggestion(text: str) -> str:
    """The nearest name, e.g. ``my_survey`` for ``my survey``; empty if nothing of it can stay."""
    near = re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_-")[:64]
    return near if is_name(near) else ""


def require_name(text: str, what: str) -> None:
    """Refuse a text that cannot be a name.

    Args:
        text: Of a key.
        what: It names, e.g. ``survey``.

    Raises:
        ValueError: Saying what to do about it.
    """
    if wrong := name_problem(text):
        raise ValueError(f"{text!r} cannot name a {what}: {wrong}")


def name_problem(text: str) -> str:
    """What to do about a text that cannot be a name; empty if it can."""
    if is_name(text):
        return ""
    near = suggestion(text)
    return f"{RULE}{f', e.g. {near!r}' if near else ''}"


def label_problem(text: str) -> str:
    """What to do about a text that cannot name a label, e.g. ``[Fe/H]``; empty if it can."""
    if is_name(text):
        return ""
    near = label_suggestion(text)
    return f"{RULE}{f', e.g. {near!r}' if near else ''}"


def label_suggestion(text: str) -> str:
    """The project's name of a label that is written otherwise, e.g. ``fe_h`` for ``[Fe/H]``; else the nearest name."""
    plain = usual_name(suggestion(text).lower())
    near = difflib.get_close_matches(plain, KNOWN, 1, cutoff=0.8) or [plain]
    return near[0]


def part_problem(text: str) -> str:
    """What to do about a text that cannot name a column of a file, where a slash begins a group; empty if it can."""
    if text.strip(".") and "/" not in text and "\0" not in text:
        return ""
    return f"write it without '/', e.g. {suggestion(text) or 'column'!r}"
