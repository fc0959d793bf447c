"""Commands on theoretical grids: ``synth2obs grid …``."""

import typer

from synth2obs.cli import grid_build

app = typer.Typer(
    no_args_is_help=True, help="Theoretical grids: build them with other people's synthesis codes."
)

for command in (grid_build.engines, grid_build.build, grid_build.gradients):
    app.command()(command)
