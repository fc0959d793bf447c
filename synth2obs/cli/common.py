"""What the commands share: argument types, errors as people read them, and refusals before any work is done."""

import contextlib
import dataclasses
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.cli.interruptions import Heard, heard
from synth2obs.core.errors import Interrupted, OutputError, Synth2ObsError
from synth2obs.core.files import refuse_overwriting
from synth2obs.core.text import visible

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings as key=value, e.g. gap.iterations=3 data.start=4500")
]
Model = Annotated[str, typer.Argument(help="A run's --out folder, a bundle, or models:/name@alias")]
TableOut = Annotated[Path, typer.Option("--out", "-o", help="Table to write: .ecsv, .csv or .fits")]
Store = Annotated[Path | None, typer.Option(help="Folder of mlflow.db, for models:/ addresses")]
Force = Annotated[
    bool, typer.Option("--force", help="Take spectra even if they do not look like this survey's")
]
Json = Annotated[bool, typer.Option("--json", help="The result as one JSON object on standard output")]
SurveyName = Annotated[str, typer.Option("--survey", "-s", help="A survey that the model knows")]


@contextlib.contextmanager
def errors_for_people() -> Iterator[None]:
    """Our own errors as one message and exit code 2; Ctrl-C as 130, and SIGTERM, which acts like it, as 143."""
    signals = Heard()
    try:
        with heard() as signals:
            yield
    except Interrupted as stopped:
        # SIGTERM's code, if there was one: a batch system looks at it.
        fail(f"interrupted: {stopped}", max(signals.code, 128 + stopped.number))
    except KeyboardInterrupt:
        fail("interrupted", signals.code)
    except Synth2ObsError as error:
        fail(f"error: {error}", 2)


def fail(message: str, code: int) -> None:
    """End with a message in red."""
    typer.secho(visible(message, "\n"), fg=typer.colors.RED, err=True)
    raise typer.Exit(code)


def answer(as_json: bool, facts: Mapping[str, Any], *lines: str) -> None:
    """The result of a command on standard output: lines for people, or one JSON object for programs."""
    if as_json:
        text = json.dumps(plain(facts), ensure_ascii=False)
        # UTF-8 has no lone surrogates, which names of files may have; JSON has, as escapes.
        typer.echo(text.encode("utf-8", "backslashreplace").decode())
    else:
        for line in lines:
            typer.echo(visible(line, "\n\t"))


def plain(value: Any) -> Any:
    """What JSON has words for: paths as text, arrays as lists, records by field, NaN and infinities as null."""
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def writable(folder: Path) -> None:
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


Inputs = Iterable[str | Path | None]
"""What a command reads: files, folders, and addresses, which are neither."""


def table_ready(out: Path, inputs: Inputs = ()) -> None:
    """Refuse a table that could not be written, before any work is done.

    Args:
        out: The table.
        inputs: What is read, over which it may not be written.

    Raises:
        OutputError: If its ending is unknown, a folder or an input is in its way, or nothing can be written there.
    """
    from synth2obs.io.tables import check_ending

    check_ending(out)
    file_ready(out, inputs)


def file_ready(out: Path, inputs: Inputs = ()) -> None:
    """Refuse a file that could not be written, before any work is done.

    Args:
        out: The file.
        inputs: What is read, over which it may not be written.

    Raises:
        OutputError: If a folder or an input is in its way, or nothing can be written there.
    """
    refuse_overwriting(out, inputs)
    if out.is_dir():
        raise OutputError(f"{out}: a folder of that name is in the way; choose another --out")
    writable(out.parent)


def load(model: str, store: Path | None) -> Any:
    """A bridge; a run's folder stands for the bundle in it."""
    import synth2obs

    return synth2obs.load_bridge(model, store)


def bundle_of(model: str) -> str | Path:
    """The folder of a bundle, which may be a run's; or the address of a model, as it is."""
    inner = Path(model) / "bridge"
    return inner if inner.is_dir() else model
