"""What stages have in common: parameters that move, their optimiser, and tensors to resume from."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from synth2obs.models.alignment.learn import set_cosine_rate
from synth2obs.models.fit.result import StarLabels
from synth2obs.training.state import State
from synth2obs.training.steps import adam_tensors, load_adam, step_generator


class StageBase:
    """A stage over a shared state; subclasses give ``name``, ``steps``, ``step`` and ``finish``.

    The checkpoint holds the whole bridge and all stars: a later stage loads the newest one and needs no other.
    """

    name = ""
    steps = 0

    def __init__(self, state: State) -> None:
        self.state = state
        self.optimizer: torch.optim.Optimizer | None = None

    def step(self, index: int) -> Mapping[str, float]:
        """One step; a pure function of the state and the index."""
        raise NotImplementedError

    def optimise(self, parameters: Iterable[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        """Adam over the given parameters, kept in checkpoints."""
        self.optimizer = torch.optim.Adam(list(parameters), lr=rate)
        return self.optimizer

    def cosine(self, index: int, rate: float) -> None:
        """Learning rate of a step: from ``rate`` to zero on half a cosine."""
        assert self.optimizer is not None
        set_cosine_rate(self.optimizer, rate, index, self.steps)

    def generator(self, index: int) -> torch.Generator:
        """Random numbers of one step."""
        return step_generator(self.state.seed, self.name, index)

    def extra(self) -> dict[str, Tensor]:
        """Tensors of this stage alone."""
        return {}

    def load_extra(self, tensors: Mapping[str, Tensor]) -> None:
        """Put `extra` back."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything a resume needs."""
        flat = {f"bridge/{key}": value.detach() for key, value in self.state.bridge.state_dict().items()}
        for name, stars in self.state.stars.items():
            flat |= {f"stars/{name}/{key}": value for key, value in vars(stars).items()}
        flat |= {f"extra/{key}": value for key, value in self.extra().items()}
        return flat | (adam_tensors(self.optimizer) if self.optimizer is not None else {})

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up where a checkpoint left off."""
        self.state.bridge.load_state_dict(_under(tensors, "bridge/"))
        self.state.follow()
        for name in self.state.stars:
            self.state.stars[name] = StarLabels(**_under(tensors, f"stars/{name}/"))
        self.load_extra(_under(tensors, "extra/"))
        if self.optimizer is not None and any(key.startswith("adam/") for key in tensors):
            load_adam(self.optimizer, tensors)

    def finish(self) -> dict[str, float]:
        """The closed-form end of a stage; nothing by default."""
        return {}


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): value.clone() for key, value in tensors.items() if key.startswith(prefix)
    }
