"""Commands of a training: run it, draw its reports again, look at it."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth2obs.cli.common import (
    Json,
    Out,
    Overrides,
    answer,
    errors_for_people,
    writable,
)
from synth2obs.cli.messages import Level, LogLevel, Quiet, messages
from synth2obs.core.files import named_files, refuse_within
from synth2obs.core.told import LOG

if TYPE_CHECKING:
    from synth2obs.training.config import TrainConfig

Promote = Annotated[
    bool, typer.Option("--promote", help="Make the model champion whatever the verdict; this is recorded")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Settings in force, stars, spectra, time and memory; trains nothing")
]

WRITTEN = (
    *("bridge", "checkpoints", "evaluation", "mlflow", "report"),
    *("card.json", "metrics.json", "proof.html", "run.json", "scores.json", "settings.json"),
)
"""What a training or a bench writes into its folder."""

FAILED = 3
"""Exit code of a run whose verdict is FAIL."""


def quickstart(
    overrides: Overrides = None,
    out: Out = Path("synth2obs-quickstart"),
    promote: Promote = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Train, evaluate and report on the embedded grid, MILES and STELIB: minutes on two cores.

    A second call with the same settings goes on where the first stopped. Ends with code 3 if the verdict is FAIL.

    Example: synth2obs quickstart

    Example: synth2obs quickstart data.max_stars=100 theory.steps=50 --out runs/small
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        if dry_run:
            return _foreseen(None, overrides or [], as_json)
        _run(None, overrides or [], out, bars=bars, as_json=as_json, promote=promote)


def train(
    config: Annotated[Path, typer.Argument(help="TOML of settings; unknown keys are refused")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-run"),
    promote: Promote = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Train on your own grid and surveys, evaluate, report and register; resumable.

    A second call goes on where the first stopped; of a run that is complete it shows the result again.
    The verdict by the thresholds of the settings stands last; it ends with code 3 if that is FAIL.

    Example: synth2obs train mine.toml --dry-run

    Example: synth2obs train mine.toml gap.iterations=3 --out runs/mine
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        if dry_run:
            return _foreseen(config, overrides or [], as_json)
        _run(config, overrides or [], out, bars=bars, as_json=as_json, promote=promote)


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
        refuse_within(out, WRITTEN, [config, *named_files(settings.model_dump(mode="json"))])
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


def _run(
    config: Path | None, overrides: list[str], out: Path, *, bars: bool, as_json: bool, promote: bool
) -> None:
    writable(out)
    from synth2obs.training.run import read_config

    settings = read_config(config, overrides)
    refuse_within(out, WRITTEN, [config, *named_files(settings.model_dump(mode="json"))])
    run_and_tell(settings, out, bars=bars, as_json=as_json, promote=promote)


def run_and_tell(
    settings: "TrainConfig",
    out: Path,
    *,
    bars: bool,
    as_json: bool,
    promote: bool,
    base: Path | None = None,
) -> None:
    """Train, evaluate and report, and say what there is; arguments as for `workflow.run`.

    Raises:
        typer.Exit: With `FAILED` for a verdict that says so.
    """
    LOG.info("loading torch and the data")
    from synth2obs.reports.console import baseline_table, verdict_lines
    from synth2obs.reports.verdict import FAIL
    from synth2obs.workflow import run

    metrics = run(settings, out, progress=bars, say=LOG.info, promote=promote, base=base)
    if as_json:
        answer(True, _facts(metrics, out, settings.model_name, promote))
        raise typer.Exit(FAILED if metrics["verdict"]["status"] == FAIL else 0)
    console = _console()
    console.print(baseline_table(metrics))
    for line in _what_there_is(metrics, out, settings.model_name, promote):
        console.print(line, soft_wrap=True)
    console.print(verdict_lines(metrics))
    if metrics["verdict"]["status"] == FAIL:
        raise typer.Exit(FAILED)


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


def _facts(metrics: dict[str, Any], out: Path, model: str, promote: bool) -> dict[str, Any]:
    """What a training found and left, for programs."""
    return {
        "seconds": metrics["run"]["seconds"],
        "surveys": {
            name: {key: row[key] for key in TABLE if key in row} for name, row in metrics["surveys"].items()
        },
        "reports": {name: out / "report" / f"{name}.html" for name in metrics["surveys"]},
        "numbers": out / "metrics.json",
        "bridge": out / "bridge",
        "model": model,
        "champion": promote or metrics["verdict"]["status"] == "PASS",
        "verdict": metrics["verdict"],
        "store": out / "mlflow",
    }


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


def version(as_json: Json = False) -> None:
    """Print the version."""
    import synth2obs

    answer(as_json, {"version": synth2obs.__version__}, synth2obs.__version__)
