"""Commands of a training: run it, draw its reports again, look at it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.cli.common import Force, Out, Overrides, Store, errors_for_people, file_ready, load, writable
from synth2obs.core.errors import DataError, OutputError

Promote = Annotated[
    bool, typer.Option("--promote", help="Make the model champion whatever the verdict; this is recorded")
]

FAILED = 3
"""Exit code of a run whose verdict is FAIL."""


def quickstart(
    overrides: Overrides = None, out: Out = Path("synth2obs-quickstart"), promote: Promote = False
) -> None:
    """Train, evaluate and report on the embedded grid, MILES and STELIB: minutes on two cores.

    A second call with the same settings goes on where the first stopped. Ends with code 3 if the verdict is FAIL.

    Example: synth2obs quickstart

    Example: synth2obs quickstart data.max_stars=100 theory.steps=50 --out runs/small
    """
    with errors_for_people():
        _run(None, overrides or [], out, promote)


def train(
    config: Annotated[Path, typer.Argument(help="TOML of settings; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-run"),
    promote: Promote = False,
) -> None:
    """Train on your own grid and surveys, evaluate, report and register; resumable.

    The verdict by the thresholds of the settings stands last; it ends with code 3 if that is FAIL.

    Example: synth2obs train mine.toml gap.iterations=3 --out runs/mine
    """
    with errors_for_people():
        _run(config, overrides or [], out, promote)


def prove(
    config: Annotated[Path, typer.Argument(help="TOML of a bench; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-proof"),
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one of the configuration; repeat")
    ] = None,
) -> None:
    """Tell a gap that is closed from one that is hidden: simulate known truth, train without labels, score.

    A second call goes on where the first stopped; what is scored already stays, unless its settings changed.

    Example: synth2obs prove bench.toml -o runs/proof

    Example: synth2obs prove bench.toml simulation.stars=60 --scenario placebo -o runs/proof
    """
    with errors_for_people():
        writable(out)
        from rich.console import Console

        console = Console(width=None if sys.stdout.isatty() else 120)
        with console.status("loading torch"):
            from synth2obs.prove.cases import read_config
            from synth2obs.prove.run import prove as run_bench
            from synth2obs.reports.console import proof_table
        found = run_bench(
            read_config(config, overrides or []),
            out,
            scenario or [],
            say=lambda text: console.print(f"[dim]{text}[/dim]"),
        )
        for name, survey in found["surveys"].items():
            console.print(proof_table(name, survey["methods"]))
        console.print(f"page      {out / 'proof.html'}", soft_wrap=True)
        console.print(f"numbers   {out / 'scores.json'}", soft_wrap=True)


def _run(config: Path | None, overrides: list[str], out: Path, promote: bool) -> None:
    writable(out)
    from rich.console import Console

    # A pipe has no width of its own; the table needs this much.
    console = Console(width=None if sys.stdout.isatty() else 120)
    from synth2obs.training.run import read_config

    settings = read_config(config, overrides)
    with console.status("loading torch and the data"):
        from synth2obs.reports.console import baseline_table, verdict_lines
        from synth2obs.reports.verdict import FAIL
        from synth2obs.workflow import run
    metrics = run(settings, out, say=lambda text: console.print(f"[dim]{text}[/dim]"), promote=promote)
    console.print(baseline_table(metrics))
    for line in _what_there_is(metrics, out, settings.model_name, promote):
        console.print(line, soft_wrap=True)
    console.print(verdict_lines(metrics))
    if metrics["verdict"]["status"] == FAIL:
        raise typer.Exit(FAILED)


def _what_there_is(metrics: dict[str, Any], out: Path, model: str, promote: bool) -> Iterator[str]:
    """A line for everything that a training leaves."""
    status = metrics["verdict"]["status"]
    plain = "registered without the alias champion, which only PASS gets; --promote gives it"
    alias = f"models:/{model}@champion" if promote or status == "PASS" else plain
    yield f"seconds   {metrics['run']['seconds']:.0f}"
    yield from (f"report    {out / 'report' / f'{name}.html'}" for name in metrics["surveys"])
    yield f"numbers   {out / 'metrics.json'}"
    yield f"model     {out / 'bridge'}, in {out / 'mlflow'}: {alias}"
    yield f"training  synth2obs ui {out}"


def report(
    model: Annotated[str, typer.Argument(help="A run's --out folder; with --spectra any model")],
    spectra: Annotated[
        str | None, typer.Option(help="Shard of other stars, or embedded:miles: a page on these")
    ] = None,
    survey: Annotated[
        str | None, typer.Option("--survey", "-s", help="By which survey, with --spectra")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Page to write, with --spectra")] = None,
    keep: Annotated[
        bool, typer.Option("--keep-training-stars", help="Do not leave out stars that taught the model")
    ] = False,
    force: Force = False,
    store: Store = None,
) -> None:
    """Write a run's HTML reports again, with no training; or a page on other stars of one of its surveys.

    Example: synth2obs report runs/mine

    Example: synth2obs report runs/mine --spectra new_stars.h5 -s miles -o new_stars.html
    """
    with errors_for_people():
        if spectra is None:
            from synth2obs.reports.survey import rebuild

            for page in rebuild(Path(model)):
                typer.echo(str(page))
            return
        if survey is None or out is None:
            raise DataError(
                "--spectra needs a survey and a page", field="--survey, --out", remedy="give both"
            )
        file_ready(out)
        import synth2obs

        options = {"trained": "keep" if keep else "leave out", "force": force}
        say = partial(typer.secho, dim=True, err=True)
        bridge = load(model, store)
        typer.echo(str(synth2obs.calibration_report(bridge, spectra, survey, out, say=say, **options)))


def ui(
    folder: Annotated[Path, typer.Argument(help="A run's --out folder")] = Path("synth2obs-quickstart"),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 5000,
) -> None:
    """Open a run's training in the MLflow UI, on this machine only (loopback).

    Example: synth2obs ui runs/mine --port 5001
    """
    with errors_for_people():
        from synth2obs.training.tracking.ui import experiment_of, experiment_url, ui_command

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


def version() -> None:
    """Print the version."""
    import synth2obs

    typer.echo(synth2obs.__version__)
