"""Tables of results: as text, as Markdown, as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

Row = Mapping[str, Any]
"""One line of a table: plain values by name, as they go into the JSON."""


@dataclass(frozen=True)
class Column:
    """What is printed of a row.

    Args:
        key: Name of the value.
        head: Over the column.
        style: ``text``, ``rate`` (three digits), ``error`` (two digits, exponent), ``ratio`` or ``number``.
    """

    key: str
    head: str
    style: str = "text"


@dataclass(frozen=True)
class Table:
    """Rows of one benchmark, and how to print them.

    Args:
        title: Over the table.
        note: Below it: what the columns mean, in a sentence or two.
        columns: What is printed, in order.
        rows: All that was measured.
        facts: Values that belong to the whole table.
        groups: Values that head a table of their own for every run of rows that share them.
    """

    title: str
    note: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    facts: Mapping[str, Any]
    groups: Sequence[Column] = ()

    def as_json(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "title": self.title,
            "note": self.note,
            "groups": [vars(column) for column in self.groups],
            "columns": [vars(column) for column in self.columns],
            "facts": dict(self.facts),
            "rows": [dict(row) for row in self.rows],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Table":
        """The inverse of `as_json`."""
        groups, columns = ([Column(**column) for column in content[key]] for key in ("groups", "columns"))
        return cls(content["title"], content["note"], columns, content["rows"], content["facts"], groups)

    def parts(self) -> Iterable[tuple[str, list[list[str]]]]:
        """A heading (empty without groups) and the printed cells of every run of rows."""
        for heading, rows in groupby(self.rows, self._heading):
            yield heading, [[_cell(row.get(c.key), c.style) for c in self.columns] for row in rows]

    def _heading(self, row: Row) -> str:
        return ", ".join(f"{c.head} {_cell(row.get(c.key), c.style)}".strip() for c in self.groups)

    def below(self) -> list[str]:
        """Note and facts."""
        facts = [f"{name}: {_shown(value)}" for name, value in self.facts.items()]
        return [self.note, *(["; ".join(facts) + "."] if facts else [])]


def text(table: Table) -> str:
    """For a terminal: aligned columns."""
    heads = [column.head for column in table.columns]
    lines = [table.title]
    for heading, rows in table.parts():
        widths = [max(map(len, cells)) for cells in zip(heads, *rows, strict=True)]
        lines += [*([heading] if heading else []), *(_aligned(table, row, widths) for row in [heads, *rows])]
    return "\n".join([*lines, *table.below()]) + "\n"


def _aligned(table: Table, row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if column.style == "text" else cell.rjust(width)
        for column, cell, width in zip(table.columns, row, widths, strict=True)
    )
    return "  ".join(cells).rstrip()


def markdown(table: Table) -> str:
    """For the documentation."""
    heads = [column.head for column in table.columns]
    rule = ["---" if column.style == "text" else "---:" for column in table.columns]
    lines = [f"### {table.title}", ""]
    for heading, rows in table.parts():
        lines += [f"**{heading}**", ""] if heading else []
        lines += ["| " + " | ".join(row) + " |" for row in [heads, rule, *rows]] + [""]
    return "\n".join([*lines, *table.below()]) + "\n"


def insert(document: str, name: str, content: str) -> str:
    """A document with what stands between ``<!-- name -->`` and ``<!-- /name -->`` replaced.

    Raises:
        ValueError: If the document has no such place.
    """
    first, last = f"<!-- {name} -->", f"<!-- /{name} -->"
    if first not in document or last not in document:
        raise ValueError(f"the document has no place for {name!r}; add the lines {first} and {last}")
    return f"{document.split(first)[0]}{first}\n\n{content}\n{last}{document.split(last)[1]}"


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _cell(value: object, style: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, int | float) or style == "text":
        return str(value)
    number = float(value)
    return {
        "rate": f"{number:,.0f}" if number >= 100 else f"{number:.3g}",
        "error": f"{number:.1e}",
        "ratio": f"{number:,.0f}" if number >= 10 else f"{number:.2g}",
        "number": f"{number:.4g}",
    }[style]
