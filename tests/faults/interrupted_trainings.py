"""Trainings in forked processes that are killed, or whose disk fills: FOLDER STORE KIND COUNT SEED [KEY=VALUE]...

Prints a line of JSON for every moment: what came of the training there, and of the one that goes on from it.
"""

import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import torch

from synth2obs.core.errors import OutputError
from synth2obs.models.checkpoint import load_tensors
from synth2obs.training import domains, loop, run
from synth2obs.training.tracking.store import open_store

Work = Callable[[], None]


def in_a_child(work: Work) -> int:
    """Process id of a fork that does some work and ends: 0 if all went well, 2 for an error of ours."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except OutputError as error:
        print(f"refused: {error}", file=sys.stderr)
        code = 2
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int) -> int:
    """Exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Trainings:
    """Trainings with the same settings.

    Args:
        folder: Each has a folder in it.
        store: An empty store's database, which each begins with.
        overrides: Settings.
    """

    def __init__(self, folder: Path, store: Path, overrides: list[str]) -> None:
        self.folder, self.store = folder, store
        self.config = run.read_config(None, overrides)
        # Read once: the children have it by their fork.
        loaded = domains.load_domains(self.config.data, self.config.seed)
        run.load_domains = lambda config, seed: loaded  # type: ignore[assignment]

    def new(self, name: str) -> Path:
        """A folder that nothing was trained in."""
        out = self.folder / name
        (out / "mlflow").mkdir(parents=True)
        shutil.copy(self.store, out / "mlflow" / "mlflow.db")
        return out

    def train(self, out: Path) -> None:
        """Train, or go on, to the end."""
        run.train(self.config, out, progress=False).tracker.close("FINISHED")

    def killed(self, out: Path, delay: float) -> int:
        """Exit code of a training that is killed after some seconds."""
        pid = in_a_child(lambda: self.train(out))
        time.sleep(delay)
        os.kill(pid, signal.SIGKILL)
        return ended(pid)

    def full(self, out: Path, save: int) -> int:
        """Exit code of a training whose disk is full from the checkpoint of that number on."""
        return ended(in_a_child(lambda: self._train_until_full(out, save)))

    def _train_until_full(self, out: Path, save: int) -> None:
        whole, done = loop.save_tensors, [0]

        def fills(*arguments: object) -> None:
            done[0] += 1
            if done[0] == save:
                resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
            whole(*arguments)  # type: ignore[arg-type]

        loop.save_tensors = fills  # type: ignore[assignment]
        self.train(out)

    def resumed(self, out: Path, expected: dict[str, torch.Tensor]) -> dict[str, object]:
        """What the training that goes on comes to."""
        code = ended(in_a_child(lambda: self.train(out)))
        return {
            "resumed": code,
            "same": code == 0 and identical(weights(out), expected),
            "status": status(out),
            "left": [path.name for path in out.rglob("*.partial*")],
        }


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Of the saved bridge."""
    return load_tensors(out / "bridge" / "bridge.safetensors")[0]


def identical(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors are the same bit for bit."""
    return found.keys() == expected.keys() and all(
        torch.equal(
            value.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8)
        )
        for value, other in ((found[name], expected[name]) for name in found)
    )


def status(out: Path) -> list[str]:
    """Of all runs in a training's store, in a process of its own: forks must not share a database's connection."""
    read, write = os.pipe()

    def tell() -> None:
        client = open_store(out / "mlflow")
        experiments = [one.experiment_id for one in client.search_experiments()]
        found = sorted({one.info.status for one in client.search_runs(experiments)})
        os.write(write, json.dumps(found).encode())

    code = ended(in_a_child(tell))
    os.close(write)
    with os.fdopen(read) as told:
        return list(json.loads(told.read() or '["unreadable"]')) if code == 0 else ["unreadable"]


def main(folder: Path, store: Path, kind: str, count: int, seed: int, overrides: list[str]) -> None:
    """Train once undisturbed, then at every moment."""
    torch.set_num_threads(1)
    # Loaded once: the children have them by their fork.
    for module in ("mlflow.tracking", "mlflow.store.tracking.sqlalchemy_store", "sklearn", "pandas"):
        importlib.import_module(module)
    trainings, draw = Trainings(folder, store, overrides), random.Random(seed)
    began, out = time.monotonic(), trainings.new("whole")
    if ended(in_a_child(lambda: trainings.train(out))):
        raise SystemExit("the undisturbed training failed")
    seconds, expected = time.monotonic() - began, weights(out)
    for number in range(count):
        out = trainings.new(f"{kind}-{number}")
        # Evenly spread over the whole time, at a random moment of each part of it.
        delay = seconds * (number + draw.random()) / count
        code = trainings.killed(out, delay) if kind == "killed" else trainings.full(out, 1 + 3 * number)
        facts = {"moment": round(delay, 2), "code": code, **trainings.resumed(out, expected)}
        print(json.dumps(facts), flush=True)
        shutil.rmtree(out)


if __name__ == "__main__":
    where, database, what, many, first, *settings = sys.argv[1:]
    main(Path(where), Path(database), what, int(many), int(first), settings)
