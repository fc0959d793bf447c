"""The command line. Heavy imports live inside the commands, so that ``--help`` costs nothing."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.core.errors import Interrupted, OutputError, Synth2ObsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure and close the gap between theoretical stellar spectra and what telescopes see.",
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as key=value, e.g. gap.iterations=3 data.start=4500")
]
Model = Annotated[str, typer.Argument(help="Folder of a bundle (OUT/bridge) or models:/name@alias")]
Store = Annotated[Path | None, typer.Option(help="Folder of mlflow.db, for models:/ addresses")]
SurveyName = Annotated[str, typer.Option("--survey", "-s", help="A survey that the model knows")]


@contextlib.contextmanager
def _errors_for_people() -> Iterator[None]:
    """Our own errors as one message and exit code 2; an interruption as 130."""
    try:
        yield
    except Interrupted as stopped:
        _fail(f"interrupted: {stopped}", 130)
    except KeyboardInterrupt:
        _fail("interrupted", 130)
    except Synth2ObsError as error:
        _fail(f"error: {error}", 2)


def _fail(message: str, code: int) -> None:
    typer.secho(message, fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def _writable(folder: Path) -> None:
    """Refuse an output folder before any work is done.

    Raises:
        OutputError: If it cannot be made, or nothing can be written there.
    """
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write in {folder}: {error.strerror}; choose another --out") from error


@app.command()
def quickstart(overrides: Overrides = None, out: Out = Path("synth2obs-quickstart")) -> None:
    """Train, evaluate and report on the embedded grid, MILES and STELIB: minutes on two cores.

    A second call with the same settings goes on where the first stopped.
    """
    with _errors_for_people():
        _run(None, overrides or [], out)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML of settings; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-run"),
) -> None:
    """Train on your own grid and surveys, evaluate, report and register; resumable.

    Example: synth2obs train mine.toml gap.iterations=3 --out runs/mine
    """
    with _errors_for_people():
        _run(config, overrides or [], out)


def _run(config: Path | None, overrides: list[str], out: Path) -> None:
    _writable(out)
    from rich.console import Console

    console = Console()
    from synth2obs.training.run import read_config

    settings = read_config(config, overrides)
    with console.status("loading torch and the data"):
        from synth2obs.reports.console import baseline_table
        from synth2obs.workflow import run
    metrics = run(settings, out, say=lambda text: console.print(f"[dim]{text}[/dim]"))
    console.print(baseline_table(metrics))
    console.print(f"seconds   {metrics['run']['seconds']:.0f}")
    for name in metrics["surveys"]:
        console.print(f"report    {out / 'report' / f'{name}.html'}", soft_wrap=True)
    console.print(f"numbers   {out / 'metrics.json'}", soft_wrap=True)
    console.print(f"model     {out / 'bridge'}, models:/{settings.model_name}@champion", soft_wrap=True)
    console.print(f"training  synth2obs ui {out}", soft_wrap=True)


@app.command()
def ingest(
    survey: Annotated[str, typer.Argument(help="miles or stelib")],
    files: Annotated[list[Path], typer.Argument(help="Native files")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Shard to write")],
    parameters: Annotated[
        Path | None, typer.Option(help="Table of literature labels, e.g. MILES_params.db")
    ] = None,
) -> None:
    """Turn a survey's native files into a checked shard.

    Example: synth2obs ingest miles MILES/*.fits --parameters MILES_params.db -o miles.h5
    """
    with _errors_for_people():
        from rich.progress import Progress

        from synth2obs.io.ingest import ingest as read

        with Progress(transient=True, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task(f"reading {survey}", total=len(files))
            summary = read(
                survey,
                files,
                out,
                parameters=parameters,
                progress=lambda done, total: bars.update(task, completed=done, total=total),
            )
        typer.echo(str(summary))


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Shards")]) -> None:
    """Name everything that is wrong with shards; exit code 2 if anything is."""
    with _errors_for_people():
        from synth2obs.io.check import check_shard
        from synth2obs.io.embedded import resolve

        bad = 0
        for file in files:
            problems = check_shard(resolve(file))
            bad += bool(problems)
            typer.echo(f"{file}: {'ok' if not problems else f'{len(problems)} problem(s)'}")
            for problem in problems:
                typer.secho(f"  {problem.field}: {problem.message}; {problem.remedy}", fg=typer.colors.RED)
        if bad:
            raise typer.Exit(2)


@app.command()
def morph(
    model: Model,
    survey: SurveyName,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .ecsv, .csv or .fits")],
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="name=value, e.g. teff=5777; repeat")
    ] = None,
    spectrum: Annotated[Path | None, typer.Option(help="Shard of observed spectra instead of labels")] = None,
    source: Annotated[str | None, typer.Option(help="Survey of that shard")] = None,
    rv: Annotated[float | None, typer.Option(help="km/s, positive receding")] = None,
    store: Store = None,
) -> None:
    """What a survey sees of a star given by labels, or by another telescope's spectrum.

    Example: synth2obs morph OUT/bridge -s miles -l teff=5777 -l logg=4.44 -l fe_h=0 -o sun.ecsv
    """
    with _errors_for_people():
        import synth2obs
        from synth2obs.reports.catalogue import spectrum_table, write_table

        bridge = synth2obs.load_bridge(model, store)
        labels = None if spectrum is not None else _labels(label or [])
        found = synth2obs.morph(
            bridge, survey=survey, labels=labels, spectrum=spectrum, source=source, rv=rv
        )
        write_table(spectrum_table(found), out)
        for row, names in enumerate(found.outside):
            if names:
                typer.secho(f"star {row}: outside the grid in {', '.join(names)}: flagged", fg="yellow", err=True)
        typer.echo(f"{out}: {found.flux.shape[0]} spectra of {found.flux.shape[1]} pixels")


def _labels(pairs: list[str]) -> dict[str, float]:
    from synth2obs.core.errors import DataError

    labels = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            labels[name.strip()] = float(value)
        except ValueError:
            raise DataError(f"got {pair!r}", field="--label", remedy="write name=number, e.g. teff=5777") from None
    if not labels:
        raise DataError("nothing to morph", field="--label", remedy="give --label name=value or --spectrum SHARD")
    return labels


@app.command()
def fit(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .ecsv, .csv or .fits")],
    population: Annotated[bool, typer.Option(help="Use the stellar-evolution prior")] = True,
    store: Store = None,
) -> None:
    """Labels with errors of every spectrum in a shard, fitted through the survey's morph."""
    with _errors_for_people():
        import synth2obs
        from synth2obs.reports.catalogue import write_table

        bridge = synth2obs.load_bridge(model, store)
        table = synth2obs.fit_labels(bridge, shard, survey, population=population)
        write_table(table, out)
        typer.echo(f"{out}: {len(table)} stars, {int((table['flags'] > 0).sum())} flagged")


@app.command()
def gap(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table to write: .ecsv, .csv or .fits")],
    store: Store = None,
) -> None:
    """The gap between theory and a shard's spectra, with its posterior; prints the strongest lines."""
    with _errors_for_people():
        import synth2obs
        from synth2obs.reports.catalogue import gap_table, write_table

        found = synth2obs.measure_gap(synth2obs.load_bridge(model, store), shard, survey)
        write_table(gap_table(found), out)
        typer.echo(f"gap rms {found.rms:.4f} ± {found.rms_error:.4f} of the continuum, {found.stars} stars")
        for line in found.lines:
            typer.echo(
                f"{line['wavelength']:9.2f} Å  depth {line['depth']:+.3f} ± {line['depth_error']:.3f}"
                f"  {line['element']} ({line['probability']:.2f})"
            )


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run's --out folder")]) -> None:
    """Write the HTML reports again from metrics.json and evaluation/*.npz, with no training."""
    with _errors_for_people():
        from synth2obs.reports.survey import rebuild

        for page in rebuild(folder):
            typer.echo(str(page))


@app.command()
def ui(
    folder: Annotated[Path, typer.Argument(help="A run's --out folder")] = Path("synth2obs-quickstart"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open a run's training in the MLflow UI, on this machine only (loopback)."""
    with _errors_for_people():
        from synth2obs.training.tracking import experiment_of, experiment_url, ui_command

        command, environment = ui_command(folder / "mlflow", port)
        typer.echo(f"runs: {experiment_url(experiment_of(folder), port)}   (Ctrl-C stops)")
        raise typer.Exit(_serve(command, environment))


def _serve(command: list[str], environment: dict[str, str]) -> int:
    process: subprocess.Popen[Any] = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return 0


@app.command()
def version() -> None:
    """Print the version."""
    import synth2obs

    typer.echo(synth2obs.__version__)


if __name__ == "__main__":
    app()
