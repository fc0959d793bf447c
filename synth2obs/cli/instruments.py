"""Command on instruments of which no star is needed."""

import sys
from typing import Annotated

import typer

from synth2obs.cli.common import Json, answer, errors_for_people

PIPE = 160
"""Columns of what has no width of its own."""


def instruments(
    name: Annotated[
        str | None, typer.Argument(help="One of them, or your description, mine.toml; all if left out")
    ] = None,
    as_json: Json = False,
) -> None:
    """Instruments through which `synth2obs morph --instrument` can show theory: pixels, resolving power, source.

    Example: synth2obs instruments

    Example: synth2obs instruments 4most_lrs
    """
    with errors_for_people():
        import synth2obs

        if name is not None:
            found = synth2obs.instrument(name)
            return answer(as_json, found.facts(), repr(found))
        rows = [dict(zip(row.colnames, row, strict=True)) for row in synth2obs.instruments()]
        if as_json:
            return answer(True, {"instruments": rows})
        from rich.console import Console
        from rich.table import Table

        shown = ("name", "title", "wavelength", "pixels", "resolving_power")
        table = Table(*("name", "", "vacuum Å", "pixels", "R"), box=None)
        for row in rows:
            table.add_row(*(str(row[column]) for column in shown))
        Console(width=None if sys.stdout.isatty() else PIPE).print(table)
