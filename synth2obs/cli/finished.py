"""Commands over finished runs: their pages, their ranks, and two side by side."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli.common import Force, Json, Store, answer, bundle_of, errors_for_people, file_ready, load
from synth2obs.core.errors import DataError


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
    as_json: Json = False,
) -> None:
    """Write a run's HTML reports again, with no training; or a page on other stars of one of its surveys.

    Example: synth2obs report runs/mine

    Example: synth2obs report runs/mine --spectra new_stars.h5 -s miles -o new_stars.html
    """
    with errors_for_people():
        if spectra is None:
            from synth2obs.reports.survey import rebuild

            pages = rebuild(Path(model))
            answer(as_json, {"reports": pages}, *map(str, pages))
            return
        if survey is None or out is None:
            raise DataError(
                "--spectra needs a survey and a page", field="--survey, --out", remedy="give both"
            )
        file_ready(out, [spectra, bundle_of(model)])
        import synth2obs

        options = {"trained": "keep" if keep else "leave out", "force": force}
        say = partial(typer.secho, dim=True, err=True)
        page = synth2obs.calibration_report(load(model, store), spectra, survey, out, say=say, **options)
        answer(as_json, {"reports": [page]}, str(page))


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
        file_ready(out, [run / "metrics.json" for run in (first, second)])
        from synth2obs.reports.compare import write_comparison
        from synth2obs.reports.run_list import find_run

        page = write_comparison(find_run(first), find_run(second), out)
        answer(as_json, {"page": page}, str(page))
