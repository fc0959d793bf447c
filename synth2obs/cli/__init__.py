"""The command line. Heavy imports live inside the commands, so that ``--help`` costs nothing."""

import typer

from synth2obs.cli import compare, files, grid, model, runs

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure and close the gap between theoretical stellar spectra and what telescopes see.",
)
for command in (
    runs.quickstart,
    runs.train,
    runs.prove,
    files.download,
    files.ingest,
    files.check,
    files.plot,
    model.morph,
    model.generate,
    model.fit,
    model.population,
    model.gap,
    runs.report,
    compare.runs,
    compare.compare,
    runs.ui,
    runs.version,
):
    app.command()(command)
app.add_typer(grid.app, name="grid")
