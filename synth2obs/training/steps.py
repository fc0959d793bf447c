"""What makes a step repeatable: its own random numbers, and an optimiser state that can be stored."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer

from synth2obs.core.errors import ModelError


def step_generator(seed: int, stage: str, index: int, device: str = "cpu") -> torch.Generator:
    """The random numbers of one step, the same in every process that does it.

    Args:
        seed: Seed of the whole training.
        stage: Name of the stage.
        index: Step, from 0.
        device: Where the numbers are drawn; devices differ in their sequences.
    """
    key = hashlib.sha256(f"{seed}\0{stage}\0{index}".encode()).digest()
    return torch.Generator(device=device).manual_seed(int.from_bytes(key[:8], "big") >> 1)


def adam_tensors(optimizer: Optimizer, prefix: str = "adam") -> dict[str, Tensor]:
    """The state of an Adam-like optimiser as flat tensors, for a checkpoint.

    Args:
        optimizer: Any optimiser whose per-parameter state is tensors, such as Adam or AdamW.
        prefix: Begins every key: ``<prefix>/state/<parameter>/<moment>`` and ``<prefix>/lr``, the
            latter of shape (groups,) in float64, because a schedule may have changed it.
    """
    stored = optimizer.state_dict()
    rates = torch.tensor([float(group["lr"]) for group in stored["param_groups"]], dtype=torch.float64)
    flat = {
        f"{prefix}/state/{parameter}/{moment}": value.detach()
        for parameter, moments in stored["state"].items()
        for moment, value in moments.items()
    }
    return {f"{prefix}/lr": rates, **flat}


def load_adam(optimizer: Optimizer, tensors: Mapping[str, Tensor], prefix: str = "adam") -> None:
    """Put back a state that `adam_tensors` gave; other keys of ``tensors`` are ignored.

    Raises:
        ModelError: If the state belongs to an optimiser with other parameters.
    """
    state: dict[int, dict[str, Tensor]] = {}
    start = f"{prefix}/state/"
    for key in sorted(key for key in tensors if key.startswith(start)):
        parameter, moment = key.removeprefix(start).split("/")
        state.setdefault(int(parameter), {})[moment] = tensors[key].clone()
    _check_state(optimizer, state, tensors.get(f"{prefix}/lr"), prefix)
    groups = optimizer.state_dict()["param_groups"]
    for group, rate in zip(groups, tensors[f"{prefix}/lr"].tolist(), strict=True):
        group["lr"] = rate
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _check_state(
    optimizer: Optimizer, state: Mapping[int, Mapping[str, Tensor]], rates: Tensor | None, prefix: str
) -> None:
    groups = optimizer.param_groups
    if rates is None or len(rates) != len(groups):
        found = "none" if rates is None else len(rates)
        raise ModelError(
            f"{prefix}/lr: expected {len(groups)} learning rates, found {found}; the checkpoint belongs "
            "to another optimiser: train in a new folder"
        )
    parameters = [parameter for group in groups for parameter in group["params"]]
    for index, moments in state.items():
        expected = tuple(parameters[index].shape) if index < len(parameters) else None
        found_shape = tuple(moments["exp_avg"].shape) if "exp_avg" in moments else expected
        if expected is None or expected != found_shape:
            raise ModelError(
                f"{prefix}/state/{index}: expected shape {expected}, found {found_shape}; the checkpoint "
                "belongs to another model: train in a new folder"
            )
