"""The command that opens the MLflow UI of a run, and leaves nothing behind when it ends."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Annotated, Any

import typer

from synth2obs.cli.common import errors_for_people
from synth2obs.core.errors import OutputError


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
    """Run a server until it ends, or an interruption ends it and all its children."""
    process: subprocess.Popen[Any] = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait()
    except KeyboardInterrupt:
        _end_group(process)
        return 0
    finally:
        _end_group(process)


def _end_group(process: "subprocess.Popen[Any]") -> None:
    """End a server's whole group of processes: SIGTERM, and SIGKILL for what is there ten seconds later."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return
