"""The command line. Heavy imports live inside the commands, so that ``--help`` costs nothing."""

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.core.errors import DataError, Interrupted, OutputError, Synth2ObsError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure and close the gap between theoretical stellar spectra and what telescopes see.",
)


class OnError(StrEnum):
    """What an ingest does with a file that cannot be read."""

    stop = "stop"
    skip = "skip"


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as key=value, e.g. gap.iterations=3 data.start=4500")
]
Model = Annotated[str, typer.Argument(help="A run's --out folder, a bundle, or models:/name@alias")]
TableOut = Annotated[Path, typer.Option("--out", "-o", help="Table to write: .ecsv, .csv or .fits")]
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


def _table_ready(out: Path) -> None:
    """Refuse a table that could not be written, before any work is done.

    Raises:
        OutputError: If its ending is unknown, a folder is in its way, or nothing can be written there.
    """
    from synth2obs.reports.catalogue import FORMATS

    if out.suffix not in FORMATS:
        raise OutputError(f"{out}: cannot tell the format; end the name with {', '.join(FORMATS)}")
    _file_ready(out)


def _file_ready(out: Path) -> None:
    if out.is_dir():
        raise OutputError(f"{out}: a folder of that name is in the way; choose another --out")
    _writable(out.parent)


def _load(model: str, store: Path | None) -> Any:
    """A bridge; a run's folder stands for the bundle in it."""
    import synth2obs

    inner = Path(model) / "bridge"
    return synth2obs.load_bridge(inner if inner.is_dir() else model, store)


@app.command()
def quickstart(overrides: Overrides = None, out: Out = Path("synth2obs-quickstart")) -> None:
    """Train, evaluate and report on the embedded grid, MILES and STELIB: minutes on two cores.

    A second call with the same settings goes on where the first stopped.

    Example: synth2obs quickstart

    Example: synth2obs quickstart data.max_stars=100 theory.steps=50 --out runs/small
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

    # A pipe has no width of its own; the table needs this much.
    console = Console(width=None if sys.stdout.isatty() else 120)
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
    console.print(
        f"model     {out / 'bridge'}, models:/{settings.model_name}@champion in {out / 'mlflow'}",
        soft_wrap=True,
    )
    console.print(f"training  synth2obs ui {out}", soft_wrap=True)


@app.command()
def download(
    survey: Annotated[str, typer.Argument(help="apogee, galah, gaia_eso, lamost_lrs or lamost_mrs")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the files and of manifest.jsonl")],
    ids: Annotated[
        list[str] | None, typer.Option(help="An id, or a text file with an id a line; repeat")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="Option of the archive, name=value")
    ] = None,
    checksums: Annotated[
        list[Path] | None, typer.Option(help="Published list: md5sum, sha1sum or sha256sum; repeat")
    ] = None,
    base_url: Annotated[str | None, typer.Option(help="A mirror in place of the archive")] = None,
    rate: Annotated[float, typer.Option(help="Requests per second, at most")] = 2.0,
    tries: Annotated[int, typer.Option(help="Attempts for a file", min=1)] = 5,
    timeout: Annotated[float, typer.Option(help="Longest silence of the server, seconds")] = 60.0,
) -> None:
    """Download a survey's native files; started again, it goes on where it was and verifies what is there.

    Exit code 2 if a file failed. LAMOST takes a token from the environment, LAMOST_TOKEN.

    Example: synth2obs download galah --ids 131123003001096 -o galah

    Example: synth2obs download apogee -O catalogue=allStar-dr17-synspec_rev1.fits -O "where=SNR > 200" -o apogee
    """
    with _errors_for_people():
        _writable(out)
        from rich.progress import Progress, TextColumn

        from synth2obs.io.download.client import Pace
        from synth2obs.io.download.run import download as fetch
        from synth2obs.io.surveys.survey import parse_options

        columns = (*Progress.get_default_columns(), TextColumn("{task.fields[size]:.1f} MB"))
        with Progress(*columns, transient=True, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task(f"downloading {survey}", total=None, size=0.0)
            outcome = fetch(
                survey,
                ids or [],
                out,
                base_url=base_url,
                checksums=checksums or [],
                pace=Pace(rate=rate, tries=tries, timeout=timeout),
                progress=lambda done, total, size: bars.update(
                    task, completed=done, total=total, size=size / 1e6
                ),
                **parse_options(option or []),
            )
        typer.echo(str(outcome))
        if outcome.failed:
            raise typer.Exit(2)


@app.command()
def ingest(
    survey: Annotated[
        str, typer.Argument(help="apogee, galah, lamost_lrs, miles, … or your own description mine.toml")
    ],
    files: Annotated[list[Path], typer.Argument(help="Native files")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Shard to write")],
    parameters: Annotated[
        Path | None, typer.Option(help="Table of literature labels, e.g. allStar or MILES_params.db")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="Option of the reader, name=value")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="What to do with a file that cannot be read")
    ] = OnError.stop,
    workers: Annotated[int | None, typer.Option(help="Processes; one per CPU by default", min=1)] = None,
) -> None:
    """Turn a survey's native files into a checked shard; started again, it goes on where it was.

    Example: synth2obs ingest miles MILES/*.fits --parameters MILES_params.db -o miles.h5
    """
    with _errors_for_people():
        _file_ready(out)
        from rich.progress import Progress

        from synth2obs.io.ingest import ingest as read
        from synth2obs.io.surveys.survey import parse_options

        with Progress(transient=True, disable=not sys.stderr.isatty()) as bars:
            task = bars.add_task(f"reading {survey}", total=len(files))
            summary = read(
                survey,
                files,
                out,
                parameters=parameters,
                progress=lambda done, total: bars.update(task, completed=done, total=total),
                on_error=on_error.value,
                workers=workers,
                **parse_options(option or []),
            )
        typer.echo(str(summary))


@app.command()
def check(files: Annotated[list[Path], typer.Argument(help="Shards")]) -> None:
    """Name everything that is wrong with shards; exit code 2 if anything is.

    Example: synth2obs check mine.h5 embedded:miles
    """
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
def plot(
    shard: Annotated[str, typer.Argument(help="A shard, or embedded:miles")],
    name: Annotated[list[str] | None, typer.Option("--id", help="Name of a spectrum; repeat")] = None,
    row: Annotated[list[int] | None, typer.Option(help="Number of a spectrum, from 0; repeat", min=0)] = None,
    wave: Annotated[str | None, typer.Option(help="LOW:HIGH in vacuum Å")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".png, .pdf or .svg; SHARD-ID.png here if left out")
    ] = None,
) -> None:
    """Draw spectra of a shard: flux with errors and mask, S/N, the flags by name, one detector a panel.

    Without --id and --row it is the first.

    Example: synth2obs plot embedded:miles --id MILES_0002 --wave 4800:5300

    Example: synth2obs plot apogee.h5 --row 0 --row 1 -o two.pdf
    """
    with _errors_for_people():
        from synth2obs.reports.shard_figures import plot_shard

        typer.echo(str(plot_shard(shard, name or [], row or [], wave, out)))


@app.command()
def morph(
    model: Model,
    survey: SurveyName,
    out: TableOut,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="name=value or name=value,value,…; repeat")
    ] = None,
    spectrum: Annotated[Path | None, typer.Option(help="Shard of observed spectra instead of labels")] = None,
    source: Annotated[str | None, typer.Option(help="Survey of that shard")] = None,
    rv: Annotated[float | None, typer.Option(help="km/s, positive receding")] = None,
    store: Store = None,
) -> None:
    """What a survey sees of a star given by labels, or by another telescope's spectrum.

    Labels that are left out are solar or the middle of the grid; those outside the grid are answered and named.

    Example: synth2obs morph OUT -s miles -l teff=5777 -l logg=4.44 -l fe_h=0 -o sun.ecsv

    Example: synth2obs morph OUT -s miles -l teff=4500,5500,6500 -o three.ecsv

    Example: synth2obs morph OUT -s miles --spectrum stelib.h5 --source stelib -o as_miles.ecsv
    """
    with _errors_for_people():
        labels = _labels(label or []) if label or spectrum is None else None
        _table_ready(out)
        import synth2obs
        from synth2obs.reports.catalogue import spectrum_table, write_table

        bridge = _load(model, store)
        found = synth2obs.morph(bridge, survey=survey, labels=labels, spectrum=spectrum, source=source, rv=rv)
        write_table(spectrum_table(found), out)
        for row, names in enumerate(found.outside):
            if names:
                typer.secho(
                    f"star {row}: outside the grid in {', '.join(names)}: flagged", fg="yellow", err=True
                )
        typer.echo(f"{out}: {found.flux.shape[0]} spectra of {found.flux.shape[1]} pixels")


def _labels(pairs: list[str]) -> dict[str, list[float]]:
    labels: dict[str, list[float]] = {}
    for pair in pairs:
        name, _, values = (part.strip() for part in pair.partition("="))
        if name in labels:
            raise DataError(f"{name!r} is given twice", field="--label", remedy=f"write {name}=value,value")
        try:
            labels[name] = [float(value) for value in values.split(",")]
        except ValueError:
            raise DataError(
                f"got {pair!r}", field="--label", remedy="write name=number, e.g. teff=5777"
            ) from None
    if not labels:
        raise DataError(
            "nothing to morph", field="--label", remedy="give --label name=value or --spectrum SHARD"
        )
    return labels


@app.command()
def fit(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: TableOut,
    population: Annotated[bool, typer.Option(help="Use the stellar-evolution prior")] = True,
    store: Store = None,
) -> None:
    """Labels with errors of every spectrum in a shard, fitted through the survey's morph.

    Example: synth2obs fit OUT mine.h5 -s miles -o labels.ecsv

    Example: synth2obs fit models:/optical@champion mine.h5 -s miles --store OUT/mlflow -o labels.ecsv
    """
    with _errors_for_people():
        _table_ready(out)
        import synth2obs
        from synth2obs.reports.catalogue import write_table

        bridge = _load(model, store)
        table = synth2obs.fit_labels(bridge, shard, survey, population=population)
        write_table(table, out)
        typer.echo(f"{out}: {len(table)} stars, {int((table['flags'] > 0).sum())} flagged")


@app.command()
def gap(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: TableOut,
    store: Store = None,
) -> None:
    """The gap between theory and a shard's spectra, with its posterior; prints the strongest lines.

    A depth above 0: stars absorb more than theory. In brackets the probability of the element.

    Example: synth2obs gap OUT mine.h5 -s miles -o gap.ecsv
    """
    with _errors_for_people():
        _table_ready(out)
        import synth2obs
        from synth2obs.reports.catalogue import gap_table, write_table

        found = synth2obs.measure_gap(_load(model, store), shard, survey)
        write_table(gap_table(found), out)
        typer.echo(f"gap rms {found.rms:.4f} ± {found.rms_error:.4f} of the continuum, {found.stars} stars")
        for line in found.lines:
            typer.echo(
                f"{line['wavelength']:9.2f} Å  depth {line['depth']:+.3f} ± {line['depth_error']:.3f}"
                f"  {_named(line)}"
            )


def _named(line: dict[str, Any]) -> str:
    """The element of a line, or what it most nearly looks like if none is probable."""
    share = line["probability"] or 0.0
    nearest = f"{line['element']} ({share:.2f})"
    return nearest if share > 0.5 else line["note"] or f"no element (nearest {nearest})"


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="A run's --out folder")]) -> None:
    """Write the HTML reports again from metrics.json and evaluation/*.npz, with no training.

    Example: synth2obs report runs/mine
    """
    with _errors_for_people():
        from synth2obs.reports.survey import rebuild

        for page in rebuild(folder):
            typer.echo(str(page))


@app.command()
def ui(
    folder: Annotated[Path, typer.Argument(help="A run's --out folder")] = Path("synth2obs-quickstart"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open a run's training in the MLflow UI, on this machine only (loopback).

    Example: synth2obs ui runs/mine --port 5001
    """
    with _errors_for_people():
        from synth2obs.training.tracking import experiment_of, experiment_url, ui_command

        command, environment = ui_command(folder / "mlflow", port)
        _port_free(port)
        typer.echo(f"runs: {experiment_url(experiment_of(folder), port)}   (Ctrl-C stops)")
        raise typer.Exit(_serve(command, environment))


def _port_free(port: int) -> None:
    """Refuse a port that another program has: MLflow would say so late, and end as if all were well.

    Raises:
        OutputError: If it is taken, or not allowed.
    """
    try:
        with socket.socket() as probe:
            # As the server does it; without, a port stays taken for a minute after its last use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except OSError as error:
        raise OutputError(f"port {port} of 127.0.0.1: {error.strerror}; choose another --port") from error


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
