"""A training in a process of its own that may kill itself: FOLDER STAGE STEP WHEN [KEY=VALUE]..."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from synth2obs.training import loop
from synth2obs.training.run import STAGES, read_config, train


def die_after_step(stage: str, step: int) -> None:
    """When step number ``step`` is done and neither its metrics nor its weights are on disk."""
    (kind,) = (each for each in STAGES if isinstance(each, type) and each.name == stage)
    whole = kind.step

    def step_then_die(self: Any, index: int) -> dict[str, float]:
        metrics = whole(self, index)
        if index == step:
            os.kill(os.getpid(), signal.SIGKILL)
        return metrics

    kind.step = step_then_die  # type: ignore[method-assign]


def die_before_checkpoint(stage: str, step: int) -> None:
    """When the metrics of step number ``step`` are in the store, and its weights are not on disk."""
    save = loop.save_tensors

    def die_or_save(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        if meta["stage"] == stage and meta["step"] == step + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        save(path, tensors, meta)

    loop.save_tensors = die_or_save  # type: ignore[assignment]


if __name__ == "__main__":
    folder, name, number, when, *overrides = sys.argv[1:]
    {"step": die_after_step, "checkpoint": die_before_checkpoint}[when](name, int(number))
    train(read_config(None, overrides), folder, progress=False)
