"""Commands over finished runs: rank them, and lay two side by side."""

from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli.common import Json, answer, errors_for_people, file_ready


def runs(
    folders: Annotated[list[Path] | None, typer.Argument(help="Folders of --out, or above them")] = None,
    by: Annotated[str, typer.Option(help="verdict, rms, teff, logg, fe_h or date")] = "verdict",
    as_json: Json = False,
) -> None:
    """Rank finished runs by verdict and residual, by the bias of a label, or by date.

    Example: synth2obs runs runs

    Example: synth2obs runs runs --by teff
    """
    with errors_for_people():
        from rich.console import Console

        from synth2obs.reports.run_list import as_records, find_runs, ranked, run_table

        found = ranked(find_runs(folders or [Path()]), by)
        if as_json:
            return answer(True, {"runs": as_records(found)})
        Console(soft_wrap=False).print(run_table(found, Path.cwd()))


def compare(
    first: Annotated[Path, typer.Argument(help="A run's --out folder")],
    second: Annotated[Path, typer.Argument(help="Another run's")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Page to write")] = Path("comparison.html"),
    as_json: Json = False,
) -> None:
    """Write a page with two runs side by side: numbers with errors, gaps, and the settings that differ.

    Example: synth2obs compare runs/old runs/new -o old_new.html
    """
    with errors_for_people():
        file_ready(out)
        from synth2obs.reports.compare import write_comparison
        from synth2obs.reports.run_list import find_run

        page = write_comparison(find_run(first), find_run(second), out)
        answer(as_json, {"page": page}, str(page))
