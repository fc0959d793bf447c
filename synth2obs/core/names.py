"""Names of surveys and models: they become files, parts of a model, and metrics, so that one pattern holds for all."""

import re

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


def name_problem(text: str) -> str:
    """What to do about a text that cannot be a name; empty if it can."""
    if is_name(text):
        return ""
    near = suggestion(text)
    return f"{RULE}{f', e.g. {near!r}' if near else ''}"
