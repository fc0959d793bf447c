"""From a survey's native files to a checked shard: in parts, by several processes, restartable."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256, folder_lock, named_files, refuse_overwriting
from synth2obs.core.threads import free_cpus
from synth2obs.io.ingest.inventory import Inventory, take_stock
from synth2obs.io.ingest.merge import merge
from synth2obs.io.ingest.parts import Part, Skipped, plan, run_jobs
from synth2obs.io.ingest.summary import Summary, summarize
from synth2obs.io.shard.layout import open_shard
from synth2obs.io.surveys import Progress, find_survey, read_parameters
from synth2obs.io.surveys.reading import JOINT, sources
from synth2obs.io.surveys.survey import ID, Parameters, choose, make_options

ON_ERROR = ("stop", "skip")


def ingest(
    survey: str,
    files: Sequence[str | Path],
    out: str | Path,
    *,
    parameters: str | Path | None = None,
    progress: Progress | None = None,
    on_error: str = "stop",
    workers: int | None = None,
    **options: Any,
) -> Summary:
    """Read a survey's native files and write them as a shard.

    Finished parts stand in a folder ``.<name>.parts`` beside the shard until it is done; the same call goes on from
    them, and a file that has changed since is read again. The result does not depend on interruptions or workers.

    Args:
        survey: A key of ``io.surveys.READERS``, or a description ``….toml`` of your own.
        files: The survey's own files.
        out: Shard to write.
        parameters: Table of labels: the survey's own, or one with a column id, object or file, whose other columns
            are carried along.
        progress: Called with files read and files in all.
        on_error: ``stop`` at the first file that cannot be read, or ``skip`` it and say so in the summary.
        workers: Processes; as many as CPUs are free to this process if None.
        options: Fields of the survey's options, as values or as text.

    Raises:
        DataError: For an unknown survey or option, no files, a file that cannot be read (``stop``), spectra that
            break a rule, or another ingest that is writing the same shard.
        OutputError: If the shard cannot be written, or would be written over one of the files.
    """
    choose("on_error", on_error, ON_ERROR)
    reader = find_survey(survey)
    make_options(reader, options)
    paths = [Path(path) for path in files]
    if not paths:
        raise DataError("no files given", remedy="name at least one file")
    table = None if parameters is None else Path(parameters)
    refuse_overwriting(out, [*named_files([survey]), *paths, table])
    labels = read_parameters(reader, table)
    out = Path(os.path.realpath(out))
    folder = out.with_name(f".{out.name}.parts")
    stop = on_error == "stop"
    with _alone(folder):
        jobs = plan(survey, reader.group(paths), options, table, stop, folder)
        parts = run_jobs(jobs, workers or free_cpus(), _counter(progress, len(paths)))
        shards = [Path(shard) for part in parts for shard in part.shards]
        stock = take_stock(shards, reader.same_pixels, stop) if shards else _nothing(parts)
        if table is not None and labels is not None:
            _refuse_strangers(labels, stock, table)
        skipped = [one for part in parts for one in part.skipped]
        skipped += [Skipped(name, reason) for name, reason in stock.skipped]
        merge(stock, out, {**reader.about, **_origin(stock, table, skipped)})
        shutil.rmtree(folder, ignore_errors=True)
    return summarize(out, skipped)


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Counts files that are done for a progress bar."""
    state = {"done": 0}

    def count(files: int) -> None:
        state["done"] += files
        if progress is not None:
            progress(state["done"], total)

    return count


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder of the parts, for one ingest at a time; it goes when nothing in it is worth keeping."""
    busy = DataError(
        "another ingest is writing this shard", path=folder, remedy="wait for it, or choose another name"
    )
    with folder_lock(folder, "lock", busy):
        try:
            yield
        finally:
            if not any(folder.glob("*.json")):
                shutil.rmtree(folder, ignore_errors=True)


def _nothing(parts: Sequence[Part]) -> Inventory:
    """What is left when every file was skipped."""
    skipped = [one for part in parts for one in part.skipped]
    reasons = "".join(f"\n  {one.file}: {one.reason}" for one in skipped[:5])
    raise DataError(f"no spectrum is left of {len(skipped)} files{reasons}", remedy="check the survey's name")


def _refuse_strangers(labels: Parameters, stock: Inventory, table: Path) -> None:
    """Refuse a table of labels that knows none of the spectra."""
    place, first = labels.key if labels.key == ID else f"native/{labels.key}", ""
    for entry in stock.entries:
        with open_shard(entry.path) as file:
            names = file[place].asstr("utf-8")[:].astype(str)
        first = first or str(names[0])
        if (labels.rows(names) >= 0).any():
            return
    found = f"has no row for any of {stock.stars} spectra: it names {str(labels.objects[0])!r}, they are {first!r}"
    raise DataError(found, path=table, field=labels.key, remedy="write the names as the spectra have them")


def _origin(stock: Inventory, table: Path | None, skipped: Sequence[Skipped]) -> dict[str, Any]:
    """What the provenance says of files, those left out included."""
    left_out = {"skipped": {one.file: one.reason for one in skipped}} if skipped else {}
    return {"sources": _sources(stock, table), **left_out}


def _sources(stock: Inventory, parameters: Path | None) -> dict[str, Any]:
    """Count and digest of the native files that are in the shard, and of the table of labels."""
    pairs: dict[tuple[str, str], None] = {}
    for entry in stock.entries:
        with open_shard(entry.path) as file:
            columns = (file[f"native/{name}"].asstr("utf-8")[:][entry.rows] for name in ("file", "sha256"))
            for names, digests in zip(*columns, strict=True):
                pairs.update(dict.fromkeys(zip(names.split(JOINT), digests.split(JOINT), strict=True)))
    tables = [] if parameters is None else [(parameters.name, file_sha256(parameters))]
    return sources([*pairs, *tables])
