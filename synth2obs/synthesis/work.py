"""Spectra to compute, one file each: what is there is never computed again, whatever stopped the run."""

import json
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.files import output_error, write_atomic, write_json_atomic
from synth2obs.core.futures import finished
from synth2obs.synthesis.engine import Engine, SynthesisError
from synth2obs.synthesis.programs import stop, stoppable

Array = NDArray[np.float64]
Results = Generator[tuple["Task", str], None, None]
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
            # From memory: numpy leaves a file open that was cut off.
            with np.load(BytesIO(self._path(task).read_bytes())) as content:
                same = str(content["physics"]) == self.physics and str(content["labels"]) == _as_text(
                    task.labels
                )
                return content["flux"] if same else None
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None

    def write(self, task: Task, flux: Array) -> None:
        """Keep a spectrum.

        Raises:
            OutputError: If it cannot be written.
        """
        buffer = BytesIO()
        labels, physics = np.array(_as_text(task.labels)), np.array(self.physics)
        np.savez_compressed(buffer, flux=flux.astype(np.float32), labels=labels, physics=physics)
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
    names = {task.name for task in tasks}
    failures = {name: reason for name, reason in store.failures().items() if name not in names}
    with closing(_results(engine, tasks, store, workers)) as results:
        for done, (task, trouble) in enumerate(results, 1):
            if trouble:
                failures[task.name] = trouble
            progress(done, len(tasks))
    write_json_atomic(store.folder / FAILED, dict(sorted(failures.items())))


def missing(tasks: Sequence[Task], store: Store) -> list[Task]:
    """Tasks whose spectrum is not there."""
    return [task for task in tasks if store.read(task) is None]


def _results(
    engine: Engine, tasks: Sequence[Task], store: Store, workers: int
) -> Generator[tuple[Task, str], None, None]:
    """Every task as it ends, with the reason if it failed; few are handed out at once, so that a stop is quick."""
    waiting = iter(tasks)
    with stoppable(), ThreadPoolExecutor(workers) as pool:
        running: dict[Future[str], Task] = {}
        try:
            while True:
                while len(running) < workers and (task := next(waiting, None)) is not None:
                    # An interruption of `submit` leaves a thread behind that the pool does not know.
                    running[pool.submit(copy_context().run, _compute, engine, task, store)] = task
                if not running:
                    return
                for future in finished(running):
                    yield running.pop(future), future.result()
        except BaseException:
            # Whatever ends the run early, nobody waits for programs whose spectra are not wanted any more.
            stop()
            raise
        finally:
            for future in running:
                future.cancel()


def _compute(engine: Engine, task: Task, store: Store) -> str:
    """Compute and keep one spectrum; the reason if that fails.

    Raises:
        OutputError: If nothing can be written.
    """
    if store.read(task) is not None:
        return ""
    try:
        with _scratch(store) as folder:
            flux = engine.spectrum(task.labels, folder)
        _plausible(flux)
    except (SynthesisError, DataError) as error:
        return str(error)
    store.write(task, flux)
    return ""


@contextmanager
def _scratch(store: Store) -> Iterator[Path]:
    """An empty folder for an engine's files; what cannot be written there is no engine's failure."""
    try:
        with tempfile.TemporaryDirectory(
            dir=store.folder, prefix=SCRATCH, ignore_cleanup_errors=True
        ) as folder:
            yield Path(folder)
    except OSError as error:
        raise output_error(error, store.folder) from error


def _plausible(flux: Array) -> None:
    if not (np.isfinite(flux).all() and (flux >= 0.0).all() and (flux < 10.0).all()):
        raise SynthesisError("the engine gave flux that is not finite, negative or not normalised")


def _as_text(labels: Mapping[str, float]) -> str:
    return json.dumps({name: round(float(value), 6) for name, value in labels.items()}, sort_keys=True)
