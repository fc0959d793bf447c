"""Commands of a training: run it, draw its reports again, look at it."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.cli.common import Json, Out, Overrides, answer, errors_for_people, writable
from synth2obs.cli.messages import Level, LogLevel, Quiet, messages
from synth2obs.core.errors import OutputError
from synth2obs.core.told import LOG

DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Settings in force, stars, spectra, time and memory; trains nothing")
]


def quickstart(
    overrides: Overrides = None,
    out: Out = Path("synth2obs-quickstart"),
    dry_run: DryRun = False,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Train, evaluate and report on the embedded grid, MILES and STELIB: minutes on two cores.

    A second call with the same settings goes on where the first stopped.

    Example: synth2obs quickstart

    Example: synth2obs quickstart data.max_stars=100 theory.steps=50 --out runs/small
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        if dry_run:
            return _foreseen(None, overrides or [], as_json)
        _run(None, overrides or [], out, bars, as_json)


def train(
    config: Annotated[Path, typer.Argument(help="TOML of settings; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-run"),
    dry_run: DryRun = False,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Train on your own grid and surveys, evaluate, report and register; resumable.

    A second call goes on where the first stopped; of a run that is complete it shows the result again.

    Example: synth2obs train mine.toml --dry-run

    Example: synth2obs train mine.toml gap.iterations=3 --out runs/mine
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        if dry_run:
            return _foreseen(config, overrides or [], as_json)
        _run(config, overrides or [], out, bars, as_json)


def prove(
    config: Annotated[Path, typer.Argument(help="TOML of a bench; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-proof"),
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one of the configuration; repeat")
    ] = None,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Tell a gap that is closed from one that is hidden: simulate known truth, train without labels, score.

    A second call goes on where the first stopped; what is scored already stays, unless its settings changed.

    Example: synth2obs prove bench.toml -o runs/proof

    Example: synth2obs prove bench.toml simulation.stars=60 --scenario placebo -o runs/proof
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        writable(out)
        LOG.info("loading torch")
        from synth2obs.prove.cases import read_config
        from synth2obs.prove.run import prove as run_bench
        from synth2obs.reports.console import proof_table

        settings = read_config(config, overrides or [])
        found = run_bench(settings, out, scenario or [], progress=bars, say=LOG.info)
        files = {"page": out / "proof.html", "numbers": out / "scores.json"}
        if as_json:
            return answer(True, {**files, "surveys": found["surveys"]})
        console = _console()
        for name, survey in found["surveys"].items():
            console.print(proof_table(name, survey["methods"]))
        for name, file in files.items():
            console.print(f"{name:9s} {file}", soft_wrap=True)


def _console() -> Any:
    from rich.console import Console

    # A pipe has no width of its own; the table needs this much.
    return Console(width=None if sys.stdout.isatty() else 120)


def _run(config: Path | None, overrides: list[str], out: Path, bars: bool, as_json: bool) -> None:
    writable(out)
    from synth2obs.training.run import read_config

    settings = read_config(config, overrides)
    LOG.info("loading torch and the data")
    from synth2obs.reports.console import baseline_table
    from synth2obs.workflow import run

    metrics = run(settings, out, progress=bars, say=LOG.info)
    if as_json:
        return answer(True, _facts(metrics, out, settings.model_name))
    console = _console()
    console.print(baseline_table(metrics))
    for line in _what_there_is(metrics, out, settings.model_name):
        console.print(line, soft_wrap=True)


def _foreseen(config: Path | None, overrides: list[str], as_json: bool) -> None:
    """What a training would do."""
    from synth2obs.core.config_io import resolved_toml
    from synth2obs.training.forecast import forecast
    from synth2obs.training.run import read_config

    settings = read_config(config, overrides)
    expected = forecast(settings)
    facts = {"config": settings.model_dump(mode="json"), **expected.facts()}
    answer(as_json, facts, resolved_toml(settings), *expected.lines())


TABLE = ("n_test", "n_anchored", "anchored_rms", "label_recovery")
"""Of a survey's metrics, what the table shows."""


def _facts(metrics: dict[str, Any], out: Path, model: str) -> dict[str, Any]:
    """What a training found and left, for programs."""
    return {
        "seconds": metrics["run"]["seconds"],
        "surveys": {
            name: {key: row[key] for key in TABLE if key in row} for name, row in metrics["surveys"].items()
        },
        "reports": {name: out / "report" / f"{name}.html" for name in metrics["surveys"]},
        "numbers": out / "metrics.json",
        "bridge": out / "bridge",
        "model": f"models:/{model}@champion",
        "store": out / "mlflow",
    }


def _what_there_is(metrics: dict[str, Any], out: Path, model: str) -> Iterator[str]:
    """A line for everything that a training leaves."""
    yield f"seconds   {metrics['run']['seconds']:.0f}"
    yield from (f"report    {out / 'report' / f'{name}.html'}" for name in metrics["surveys"])
    yield f"numbers   {out / 'metrics.json'}"
    yield f"model     {out / 'bridge'}, models:/{model}@champion in {out / 'mlflow'}"
    yield f"training  synth2obs ui {out}"


def report(
    folder: Annotated[Path, typer.Argument(help="A run's --out folder")], as_json: Json = False
) -> None:
    """Write the HTML reports again from metrics.json and evaluation/*.npz, with no training.

    Example: synth2obs report runs/mine
    """
    with errors_for_people():
        from synth2obs.reports.survey import rebuild

        pages = rebuild(folder)
        answer(as_json, {"reports": pages}, *map(str, pages))


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


def version(as_json: Json = False) -> None:
    """Print the version."""
    import synth2obs

    answer(as_json, {"version": synth2obs.__version__}, synth2obs.__version__)
