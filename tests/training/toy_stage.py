"""A small regression with Adam and noise in every step; as a script, one training in a process."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from synth2obs.training.loop import StageLog, run_stages
from synth2obs.training.steps import adam_tensors, load_adam, step_generator
from synth2obs.training.tracking.tracker import NullTracker, Tracker


class ToyStage:
    """Fits a tiny network to noisy data that are drawn anew in every step."""

    def __init__(self, name: str = "A", steps: int = 30, pause: float = 0.0) -> None:
        self.name, self.steps, self.pause = name, steps, pause
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        generator = step_generator(0, name, -1)
        with torch.no_grad():
            for parameter in self.net.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=0.01)
        self.mean = torch.zeros(())

    def step(self, index: int) -> Mapping[str, float]:
        x = torch.randn(16, 3, generator=step_generator(0, self.name, index))
        loss = (self.net(x) - x.sum(1, keepdim=True)).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        time.sleep(self.pause)
        return {"loss": loss.item()}

    def tensors(self) -> Mapping[str, Tensor]:
        return {**self.net.state_dict(), "mean": self.mean, **adam_tensors(self.optimizer)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        self.net.load_state_dict({key: tensors[key] for key in self.net.state_dict()})
        self.mean = tensors["mean"]
        load_adam(self.optimizer, tensors)

    def finish(self) -> Mapping[str, float]:
        with torch.no_grad():
            self.mean = self.net(torch.ones(1, 3)).mean()
        return {"mean": self.mean.item()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    folder, *store = map(Path, sys.argv[1:])

    def tracker() -> StageLog:
        if not store:
            return NullTracker()
        return Tracker.open(folder, grid="marcs", surveys=("miles",), store=store[0])

    run_stages([ToyStage(steps=1000, pause=0.01)], folder, tracker, checkpoint_every=5, progress=False)
