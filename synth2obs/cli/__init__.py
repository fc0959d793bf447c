"""The command line. Heavy imports live inside the commands, so that ``--help`` costs nothing."""

from typing import Annotated

import typer

from synth2obs.cli import adapt, config, files, finished, grid, instruments, model, runs, spectra, ui
from synth2obs.core.threads import share_the_machine

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    runs.quickstart,
    runs.train,
    adapt.adapt,
    runs.prove,
    config.config,
    files.download,
    files.ingest,
    files.check,
    files.plot,
    spectra.morph,
    spectra.generate,
    instruments.instruments,
    model.fit,
    model.population,
    model.gap,
    finished.report,
    finished.runs,
    finished.compare,
    ui.ui,
    runs.version,
):
    app.command()(command)
app.add_typer(grid.app, name="grid")


def _version(wanted: bool) -> None:
    if wanted:
        runs.version()
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit")
    ] = False,
) -> None:
    """Measure and close the gap between theoretical stellar spectra and what telescopes see."""
    share_the_machine()
