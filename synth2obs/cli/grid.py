"""Commands on theoretical grids: ``synth2obs grid …``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli import grid_build
from synth2obs.cli.common import Json, answer, errors_for_people, file_ready, plain
from synth2obs.cli.messages import Level, LogLevel, Quiet, bar, messages

app = typer.Typer(
    no_args_is_help=True,
    help="Theoretical grids: compute them, read your own, join them, see what they hold.",
)

PIPE = 120
"""Columns of what has no width of its own."""


def join(
    sources: Annotated[list[Path], typer.Argument(help="Descriptions (.toml) and shards of grids")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Shard to write, .h5")],
    name: Annotated[str, typer.Option(help="Domain of the shard; that of the first source if left out")] = "",
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Read grids that you have and write one checked shard: vacuum, one resolving power, labels by name.

    A description is a TOML of about ten lines, see docs/own_grid.md. Several sources must have the same pixels
    and labels. Nothing is written if anything is wrong.

    Example: synth2obs grid join mine.toml -o grid.h5

    Example: synth2obs grid join dwarfs.toml giants.toml older.h5 --name optical -o grid.h5
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        file_ready(out, sources)
        from synth2obs.io.own_grids.join import join_grids
        from synth2obs.io.trainable import grid_problems

        with bar("reading spectra", unit="spectra", wanted=bars) as progress:
            path = join_grids(sources, out, name=name, progress=progress)
        missing = [str(problem) for problem in grid_problems(path)]
        answer(
            as_json,
            {"grid": path, "no_training_because": missing},
            f"{path}: ok; `synth2obs grid info {path}` says what it holds",
        )
        for problem in missing:
            typer.secho(f"  no training could start from it yet: {problem}", fg=typer.colors.YELLOW, err=True)


def info(
    file: Annotated[str, typer.Argument(help="A grid's shard, a description, or embedded:optical_grid")],
    as_json: Json = False,
) -> None:
    """What a grid holds: spectra, labels with their ranges, wavelengths, resolving power, physics, gradients.

    Example: synth2obs grid info grid.h5

    Example: synth2obs grid info embedded:optical_grid
    """
    with errors_for_people():
        from rich.console import Console

        from synth2obs.io.own_grids.facts import grid_facts
        from synth2obs.reports.grid_table import print_grid

        found = grid_facts(file)
        if as_json:
            return answer(True, plain(found))
        print_grid(found, Console(width=None if sys.stdout.isatty() else PIPE))


for command in (grid_build.engines, grid_build.build, grid_build.gradients, grid_build.choose, join, info):
    app.command()(command)
