"""Commands on native files and shards."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli.common import Json, answer, errors_for_people, file_ready, plain, writable
from synth2obs.cli.messages import Level, LogLevel, Quiet, bar, messages
from synth2obs.core.text import visible


class OnError(StrEnum):
    """What an ingest does with a file that cannot be read."""

    stop = "stop"
    skip = "skip"


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
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Download a survey's native files; started again, it goes on where it was and verifies what is there.

    Exit code 2 if a file failed. LAMOST takes a token from the environment, LAMOST_TOKEN.

    Example: synth2obs download galah --ids 131123003001096 -o galah

    Example: synth2obs download apogee -O catalogue=allStar-dr17-synspec_rev1.fits -O "where=SNR > 200" -o apogee
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        writable(out)
        from synth2obs.io.download.pace import Pace
        from synth2obs.io.download.run import download as fetch
        from synth2obs.io.surveys.survey import parse_options

        with bar(f"downloading {survey}", unit="files", megabytes=True, wanted=bars) as progress:
            outcome = fetch(
                survey,
                ids or [],
                out,
                base_url=base_url,
                checksums=checksums or [],
                pace=Pace(rate=rate, tries=tries, timeout=timeout),
                progress=progress,
                **parse_options(option or []),
            )
        answer(as_json, plain(outcome), str(outcome))
        if outcome.failed:
            raise typer.Exit(2)


def ingest(
    survey: Annotated[
        str, typer.Argument(help="apogee, galah, lamost_lrs, miles, … or your own description mine.toml")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Shard to write")],
    files: Annotated[list[Path] | None, typer.Argument(help="Native files")] = None,
    parameters: Annotated[
        Path | None,
        typer.Option(help="Table of labels: allStar, MILES_params.db, or yours with a column id or file"),
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-O", help="Option of the reader, name=value")
    ] = None,
    on_error: Annotated[
        OnError, typer.Option(help="What to do with a file that cannot be read")
    ] = OnError.stop,
    workers: Annotated[int | None, typer.Option(help="Processes; one per CPU by default", min=1)] = None,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Turn a survey's native files into a checked shard; started again, it goes on where it was.

    Example: synth2obs ingest miles MILES/*.fits --parameters MILES_params.db -o miles.h5
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        file_ready(out, [survey, parameters, *(files or [])])
        from synth2obs.io.ingest.ingest import ingest as read
        from synth2obs.io.surveys.survey import parse_options

        with bar(f"reading {survey}", len(files or []), unit="files", wanted=bars) as progress:
            summary = read(
                survey,
                files or [],
                out,
                parameters=parameters,
                progress=progress,
                on_error=on_error.value,
                workers=workers,
                **parse_options(option or []),
            )
        answer(as_json, plain(summary), str(summary))


def check(files: Annotated[list[Path], typer.Argument(help="Shards")], as_json: Json = False) -> None:
    """Name everything that is wrong with shards; exit code 2 if anything is.

    Of a grid also why no training could start from it: pixels that are not uniform in ln λ, too few spectra,
    labels that do not vary.

    Example: synth2obs check mine.h5 embedded:miles
    """
    with errors_for_people():
        from synth2obs.io.embedded import resolve
        from synth2obs.io.shard.check import check_shard
        from synth2obs.io.trainable import grid_problems

        found = {file: list(check_shard(resolve(file)) or grid_problems(resolve(file))) for file in files}
        if as_json:
            answer(True, {"files": {file: problems for file, problems in found.items()}})
        for file, problems in found.items() if not as_json else ():
            typer.echo(f"{visible(str(file))}: {'ok' if not problems else f'{len(problems)} problem(s)'}")
            for problem in problems:
                text = f"  {problem.field}: {problem.message}; {problem.remedy}"
                typer.secho(visible(text), fg=typer.colors.RED)
        if any(found.values()):
            raise typer.Exit(2)


def plot(
    shard: Annotated[str, typer.Argument(help="A shard, or embedded:miles")],
    name: Annotated[list[str] | None, typer.Option("--id", help="Name of a spectrum; repeat")] = None,
    row: Annotated[list[int] | None, typer.Option(help="Number of a spectrum, from 0; repeat", min=0)] = None,
    wave: Annotated[str | None, typer.Option(help="LOW:HIGH in vacuum Å")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".png, .pdf or .svg; SHARD-ID.png here if left out")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw spectra of a shard: flux with errors and mask, S/N, the flags by name, one detector a panel.

    Without --id and --row it is the first.

    Example: synth2obs plot embedded:miles --id MILES_0002 --wave 4800:5300

    Example: synth2obs plot apogee.h5 --row 0 --row 1 -o two.pdf
    """
    with errors_for_people():
        from synth2obs.reports.shard_figures import plot_shard

        figure = plot_shard(shard, name or [], row or [], wave, out)
        answer(as_json, {"figure": figure}, str(figure))
