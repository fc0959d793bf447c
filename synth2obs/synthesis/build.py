"""Build a grid: labels from a recipe, spectra from its engine, gradients at its points."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.files import folder_lock, write_json_atomic
from synth2obs.synthesis.earlier import read_earlier
from synth2obs.synthesis.engine import Engine
from synth2obs.synthesis.engines import make_engine
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.work import Store, Task, missing, run_tasks

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
LOCK = ".lock"
ENGINE = "engine.json"


@dataclass(frozen=True)
class Build:
    """A grid that is being built.

    Args:
        recipe: What it is made of.
        out: Its file.
    """

    recipe: Recipe
    out: Path

    @property
    def folder(self) -> Path:
        """Folder of its single spectra, beside its file."""
        return self.out.with_name(f"{self.out.name}.parts")

    def identity(self, task: Task) -> str:
        """What a spectrum is called in the grid."""
        return f"{self.recipe.grid.domain}_{task.name}"

    def todo(self, tasks: Sequence[Task]) -> list[Task]:
        """Tasks that neither the folder nor the grid's file has.

        Raises:
            DataError: If the file is damaged.
        """
        earlier = read_earlier(self.recipe, Pixels.of(self.recipe), self.out)
        known = {
            task.name
            for point in (*self.spectra(), *self.points())
            if (found := earlier.get(self.identity(point))) and found.has(point.labels)
            for task in (point, *self.ends(point) * bool(found.gradients))
        }
        return [task for task in missing(tasks, self.store) if task.name not in known]

    @property
    def store(self) -> Store:
        """Its spectra."""
        return Store(self.folder / "spectra", self.recipe.physics)

    def engine(self) -> Engine:
        """Its engine.

        Raises:
            EngineMissingError: If that, or its data, are not installed.
        """
        return make_engine(self.recipe, self.folder / "lines")

    def described(self) -> dict[str, Any]:
        """What the engine says of itself; kept beside the spectra, so that they can be read where it is not.

        Raises:
            EngineMissingError: If it has not been run here and is not installed.
        """
        path = self.folder / ENGINE
        if path.is_file():
            kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if kept["physics"] == self.recipe.physics:
                return dict(kept["theory"])
        theory = self.engine().provenance()
        write_json_atomic(path, {"physics": self.recipe.physics, "theory": theory})
        return theory

    def spectra(self) -> list[Task]:
        """The spectra of the grid."""
        names = self.recipe.labels.names
        return [
            Task(f"{number:06d}", dict(zip(names, map(float, row), strict=True)))
            for number, row in enumerate(self.recipe.table())
        ]

    def points(self) -> list[Task]:
        """The spectra at which gradients are taken.

        Raises:
            ConfigError: If a point names no label of the grid, or lacks one that has no default.
        """
        return [
            Task(f"point_{number:03d}", self._point(number))
            for number in range(len(self.recipe.gradients.points))
        ]

    def steps(self, point: Task) -> list[tuple[str, Task, Task]]:
        """Both ends of the central difference in each label at a point."""
        names = self.recipe.labels.names
        return [(name, self._moved(point, name, 1.0), self._moved(point, name, -1.0)) for name in names]

    def ends(self, point: Task) -> list[Task]:
        """The spectra of all differences at a point."""
        return [end for _, *ends in self.steps(point) for end in ends]

    def gradient_tasks(self) -> list[Task]:
        """Everything that gradients need, point by point."""
        return [task for point in self.points() for task in (point, *self.ends(point))]

    def _point(self, number: int) -> dict[str, float]:
        given, names = self.recipe.gradients.points[number], self.recipe.labels.names
        labels = {name: given.get(name, 0.0 if name.endswith("_fe") else None) for name in names}
        wrong = [name for name in given if name not in names] + [
            n for n, value in labels.items() if value is None
        ]
        if wrong:
            raise ConfigError(
                f"gradients.points.{number}: {', '.join(wrong)} unknown or missing; the labels are {', '.join(names)}"
            )
        return {name: float(value) for name, value in labels.items() if value is not None}

    def _moved(self, point: Task, name: str, sign: float) -> Task:
        value = point.labels[name] + sign * self.recipe.gradients.step(name)
        return Task(f"{point.name}_{name}_{'up' if sign > 0 else 'down'}", {**point.labels, name: value})


def build_spectra(build: Build, tasks: Sequence[Task], workers: int, progress: Progress) -> None:
    """Compute what is missing of a grid; started again after whatever stopped it, it goes on.

    Raises:
        EngineMissingError: If the engine is not installed.
        OutputError: If nothing can be written, or another process builds this grid.
    """
    busy = DataError(
        "another process builds this grid", path=build.folder, remedy="wait for it, or choose another --out"
    )
    with folder_lock(build.folder, LOCK, busy):
        todo = build.todo(tasks)
        progress(len(tasks) - len(todo), len(tasks))
        if todo:
            before = len(tasks) - len(todo)
            run_tasks(
                build.engine(),
                todo,
                build.store,
                workers,
                lambda done, _: progress(before + done, len(tasks)),
            )
