"""The pages of the documentation, and what in them can be checked: links, paths, names, commands, code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "experiments/*/README.md",
        "grids/*/README.md",
        "synth2obs/data/README.md",
    )
    for path in ROOT.glob(pattern)
)
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```[ ]*$", re.S | re.M
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]+) -->\s*\Z")
SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Args:
        page: Where it stands.
        line: Number of its first line, from 1.
        language: What follows the fence.
        text: Without the fence's indentation.
        reason: Why it is not run, from a comment ``<!-- not run: … -->`` before it; empty if it is.
    """

    page: Path
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Path in the repository."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """All fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        indent = len(found["indent"])
        lines = [line[indent:] for line in found["text"].splitlines(keepends=True)]
        marker = NOT_RUN.search(text[: found.start()])
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["language"], "".join(lines), marker["reason"] if marker else "")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> Iterator[str]:
    """Everything between single backticks."""
    for found in SPAN.finditer(prose(page)):
        yield found[1]
