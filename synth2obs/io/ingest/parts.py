"""The work of an ingest in parts of some observations, on disk when done, so that a killed run goes on from there."""

import hashlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.errors import DataError
from synth2obs.core.files import write_json_atomic
from synth2obs.core.futures import finished
from synth2obs.io.ingest.blocks import Blocks
from synth2obs.io.surveys import find_survey
from synth2obs.io.surveys.reading import read_unit
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import SurveyReader, Unit, Unwanted, make_options

Done = Callable[[int], None]

FEW = 4
"""Parts for which it does not pay to start processes."""

UNITS = 64
"""Observations in a part: a block of a shard."""


@dataclass(frozen=True)
class Skipped:
    """A file that is not in the shard, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Job:
    """What a process needs to read one part.

    Args:
        survey: Name, or path of a description.
        units: Observations, each a tuple of files.
        options: Fields of the survey's options.
        parameters: Table of labels, or None.
        stop: Whether the first file that cannot be read ends everything.
        target: Path of the part without its ending.
    """

    survey: str
    units: tuple[tuple[str, ...], ...]
    options: dict[str, Any]
    parameters: str | None
    stop: bool
    target: str


@dataclass(frozen=True)
class Part:
    """A finished part.

    Args:
        shards: One for every kind of spectrum in it, in the order in which the kinds came.
        skipped: Files without a spectrum in it.
        files: Native files that were looked at.
    """

    shards: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    files: int = 0


def plan(
    survey_name: str,
    units: Sequence[Unit],
    options: dict[str, Any],
    parameters: Path | None,
    stop: bool,
    folder: Path,
) -> list[Job]:
    """The parts of an ingest. The name of a part depends on everything that its content does.

    Args:
        survey_name: Name, or path of a description.
        units: All observations.
        options: Fields of the survey's options.
        parameters: Table of labels, or None.
        stop: Whether the first file that cannot be read ends everything.
        folder: Where the parts go.
    """
    context = [_version(), SHARD_FORMAT, survey_name, sorted((k, str(v)) for k, v in options.items()), stop]
    context += [_stamp(Path(p)) for p in (survey_name, parameters) if p is not None]
    jobs = []
    for number, first in enumerate(range(0, len(units), UNITS)):
        part = units[first : first + UNITS]
        stamps = [[_stamp(path) for path in unit] for unit in part]
        key = hashlib.sha256(json.dumps([context, stamps]).encode()).hexdigest()[:16]
        jobs.append(
            Job(
                survey_name,
                tuple(tuple(str(path) for path in unit) for unit in part),
                options,
                None if parameters is None else str(parameters),
                stop,
                str(folder / f"{number:06d}-{key}"),
            )
        )
    return jobs


def _version() -> str:
    try:
        return version("synth2obs")
    except PackageNotFoundError:
        return "unknown"


def _stamp(path: Path) -> list[Any]:
    """Name, size and time of a file: enough to see that it has changed."""
    try:
        state = path.stat()
    except OSError:
        return [str(path)]
    return [str(path), state.st_size, state.st_mtime_ns]


def run_job(job: Job, done: Done = lambda files: None) -> Part:
    """Read one part and write its shards; what was done before is taken as it is.

    Args:
        job: From `plan`.
        done: Called with the number of native files of each observation that is finished.

    Raises:
        DataError: If a file cannot be read and ``stop`` is set.
        OutputError: If a shard cannot be written.
    """
    state = Path(f"{job.target}.json")
    if state.is_file():
        content = json.loads(state.read_text(encoding="utf-8"))
        done(content["files"])
        return Part(content["shards"], [Skipped(**one) for one in content["skipped"]], content["files"])
    survey = find_survey(job.survey)
    blocks = Blocks(survey, job.parameters, job.target)
    skipped = _read(survey, job, blocks, done)
    part = Part(blocks.finish(), skipped, sum(len(unit) for unit in job.units))
    write_json_atomic(state, asdict(part))
    return part


def _read(survey: SurveyReader, job: Job, blocks: Blocks, done: Done) -> list[Skipped]:
    options = make_options(survey, job.options)
    seen: dict[str, str] = {}
    skipped: list[Skipped] = []
    for unit in (tuple(Path(path) for path in paths) for paths in job.units):
        for found in _records(survey, unit, options):
            double = None if isinstance(found, DataError) else _double(found, seen, unit)
            error = found if isinstance(found, DataError) else double
            if error is None:
                assert isinstance(found, Record)
                blocks.add(found)
            elif job.stop and not isinstance(error, Unwanted):
                raise error
            else:
                skipped.append(Skipped(unit[0].name, _reason(error, unit)))
        done(len(unit))
    return skipped


def _records(survey: SurveyReader, unit: Unit, options: Any) -> Iterator[Record | DataError]:
    """What an observation holds; nothing but the refusal of a file that fails half-way, unless its rows stand alone."""
    found = read_unit(survey, unit, options)
    try:
        yield from found if survey.rows else list(found)
    except DataError as error:
        yield error


def _double(record: Record, seen: dict[str, str], unit: Unit) -> DataError | None:
    """A refusal of a record whose name has occurred."""
    if record.id not in seen:
        seen[record.id] = str(record.native["file"])
        return None
    return DataError(
        f"{record.id} occurs 2 times, first in {seen[record.id]}",
        path=unit[0],
        field="id",
        remedy="give each spectrum once",
    )


def _reason(error: DataError, unit: Unit) -> str:
    """The message without the path of the file, which the table has."""
    text = str(error)
    for path in unit:
        text = text.removeprefix(f"{path}: ")
    return text


def run_jobs(jobs: Sequence[Job], workers: int, done: Done) -> list[Part]:
    """All parts, in order; several processes work on them at once.

    Args:
        jobs: From `plan`.
        workers: Number of processes; with 1 everything happens in this one.
        done: Called with the number of native files that are finished.

    Raises:
        DataError: The first that a part raises; the other parts that are at work are finished.
        OutputError: If a part cannot be written.
    """
    if workers == 1 or len(jobs) <= FEW:
        return [run_job(job, done) for job in jobs]
    # A fork would inherit the threads of a progress bar.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(jobs)), context, _leave_with_parent) as pool:
        futures = [pool.submit(run_job, job) for job in jobs]
        try:
            _follow(futures, done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _follow(futures: Sequence[Future[Part]], done: Done) -> None:
    """Tell of parts as they finish, and raise what the first that fails has raised."""
    waiting = set(futures)
    while waiting:
        ready = finished(waiting)
        waiting -= ready
        for future in ready:
            done(future.result().files)


def _leave_with_parent() -> None:
    """End this process when the one that started it is gone: a killed ingest leaves nobody at work."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
