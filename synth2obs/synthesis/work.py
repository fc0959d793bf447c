"""Spectra to compute, one file each: what is there is never computed again, whatever stopped the run."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError, Synth2ObsError
from synth2obs.core.files import write_atomic, write_json_atomic
from synth2obs.synthesis.engine import Engine, SynthesisError

Array = NDArray[np.float64]
FAILED = "failed.json"
SCRATCH = ".scratch-"


@dataclass(frozen=True)
class Task:
    """One spectrum.

    Args:
        name: Of its file.
        labels: In the units of `core.labels`.
    """

    name: str
    labels: Mapping[str, float]


@dataclass(frozen=True)
class Store:
    """Folder of computed spectra, each with its labels and the digest of the recipe's physics.

    Args:
        folder: Where they lie.
        physics: Digest that a spectrum must have to count.
    """

    folder: Path
    physics: str

    def read(self, task: Task) -> NDArray[np.float32] | None:
        """Flux of a task, shape (L,), or None if it was not computed with this physics at these labels."""
        try:
            with np.load(self._path(task)) as content:
                same = str(content["physics"]) == self.physics and str(content["labels"]) == _as_text(
                    task.labels
                )
                return content["flux"] if same else None
        except (OSError, ValueError, KeyError, EOFError):
            return None

    def write(self, task: Task, flux: Array) -> None:
        """Keep a spectrum.

        Raises:
            OutputError: If it cannot be written.
        """
        buffer = BytesIO()
        content = {"flux": flux.astype(np.float32), "labels": _as_text(task.labels), "physics": self.physics}
        np.savez_compressed(buffer, **content)
        write_atomic(self._path(task), buffer.getvalue())

    def failures(self) -> dict[str, str]:
        """Reason of every failure, by the name of its task."""
        path = self.folder / FAILED
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def clean(self) -> None:
        """Remove what killed runs have left behind."""
        for path in self.folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(path, ignore_errors=True)

    def _path(self, task: Task) -> Path:
        return self.folder / f"{task.name}.npz"


def run_tasks(
    engine: Engine, tasks: Sequence[Task], store: Store, workers: int, progress: Callable[[int, int], None]
) -> None:
    """Compute the spectra that are not there yet; a failure is noted and the others go on.

    Args:
        engine: Ready to run.
        tasks: Spectra.
        store: Where they are kept.
        workers: Programs that run at once.
        progress: Told how many are done, of how many.

    Raises:
        OutputError: If a spectrum cannot be written; what was computed before stays.
    """
    store.folder.mkdir(parents=True, exist_ok=True)
    store.clean()
    failures: dict[str, str] = {}
    for done, (task, trouble) in enumerate(_results(engine, tasks, store, workers), 1):
        if trouble:
            failures[task.name] = trouble
        progress(done, len(tasks))
    write_json_atomic(store.folder / FAILED, dict(sorted(failures.items())))


def missing(tasks: Sequence[Task], store: Store) -> list[Task]:
    """Tasks whose spectrum is not there."""
    return [task for task in tasks if store.read(task) is None]


def _results(engine: Engine, tasks: Sequence[Task], store: Store, workers: int) -> Iterator[tuple[Task, str]]:
    """Every task as it ends, with the reason if it failed; few are handed out at once, so that a stop is quick."""
    waiting = iter(tasks)
    with ThreadPoolExecutor(workers) as pool:
        running: dict[Future[str], Task] = {}
        try:
            while True:
                while len(running) < workers and (task := next(waiting, None)) is not None:
                    running[pool.submit(_compute, engine, task, store)] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            for future in running:
                future.cancel()


def _compute(engine: Engine, task: Task, store: Store) -> str:
    """Compute and keep one spectrum; the reason if that fails."""
    if store.read(task) is not None:
        return ""
    with tempfile.TemporaryDirectory(dir=store.folder, prefix=SCRATCH, ignore_cleanup_errors=True) as scratch:
        try:
            flux = engine.spectrum(task.labels, Path(scratch))
        except (SynthesisError, DataError) as error:
            return str(error)
    _plausible(flux)
    store.write(task, flux)
    return ""


def _plausible(flux: Array) -> None:
    if not (np.isfinite(flux).all() and (flux >= 0.0).all() and (flux < 10.0).all()):
        raise Synth2ObsError("an engine gave flux that is not finite, negative or not normalised")


def _as_text(labels: Mapping[str, float]) -> str:
    return json.dumps({name: round(float(value), 6) for name, value in labels.items()}, sort_keys=True)
