"""One small training on the embedded data, made once and read by all tests that need a trained model."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from beartype import BeartypeConf, beartype

from synth2obs.core import shapes

# Before anything that has shapes is imported. An int will do for a float, as for static checkers.
shapes.check_with(beartype(conf=BeartypeConf(is_pep484_tower=True)))

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads of each would wait for those of the others, spinning.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

SMALL = (
    "threads=1",
    "data.start=5000",
    "data.stop=5300",
    "data.max_stars=24",
    "decoder.latent=6",
    "decoder.rank=8",
    "decoder.hidden=8",
    "continuum.order=3",
    "theory.steps=4",
    "latent.steps=2",
    "latent.width_stars=6",
    "labels.iterations=1",
    "morph.steps=4",
    "morph.name=conditional",
    "morph.gated=false",
    "gap.iterations=1",
    "gap.gated=false",
    "critic.steps=4",
    "evaluation.examples=1",
    "evaluation.lines=3",
)
"""Settings with which every stage does something and none takes more than a second."""


@dataclass(frozen=True)
class Trained:
    """A finished run; its folder is not to be changed.

    Args:
        folder: What ``synth2obs quickstart --out`` leaves.
        metrics: What the workflow returned.
        said: What it told the user.
    """

    folder: Path
    metrics: dict[str, Any]
    said: tuple[str, ...]

    @property
    def store(self) -> Path:
        """Folder of ``mlflow.db``."""
        return self.folder / "mlflow"


@contextmanager
def torch_as_it_was() -> Iterator[None]:
    """Undo what a training sets for the whole process."""
    threads, strict, random = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state(),
    )
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.set_rng_state(random)


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Settings of a training of seconds, as ``key=value``."""
    return SMALL


@pytest.fixture(scope="session")
def keep_torch() -> Callable[[], Any]:
    """`torch_as_it_was`."""
    return torch_as_it_was


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folders for trainings; each has an empty MLflow store already, because to create one takes seconds."""
    from synth2obs.training.tracking.store import open_store

    store = tmp_path_factory.mktemp("store")
    open_store(store)

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        (folder / "mlflow").mkdir()
        shutil.copy(store / "mlflow.db", folder / "mlflow")
        return folder

    return make


@pytest.fixture(scope="session")
def trained(new_folder: Callable[[str], Path], small: tuple[str, ...]) -> Trained:
    """The whole workflow, without interruption."""
    from synth2obs.training.run import read_config
    from synth2obs.workflow import run

    folder, said = new_folder("trained"), []
    with torch_as_it_was():
        metrics = run(read_config(None, small), folder, progress=False, say=said.append)
    return Trained(folder, metrics, tuple(said))


@pytest.fixture
def copy_of(trained: Trained, tmp_path: Path) -> Path:
    """The finished run in a folder that may be changed."""
    return Path(shutil.copytree(trained.folder, tmp_path / "copy"))


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """For processes of their own: this package, one thread."""
    paths = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
