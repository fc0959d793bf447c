"""Which spectra a grid lacks most: labels at which its emulator is least certain."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.core.errors import ModelError
from synth2obs.models.bridge import Bridge
from synth2obs.models.emulator.choice import least_certain
from synth2obs.models.emulator.process import ProcessEmulator

Array = NDArray[np.float64]


def choose_labels(bridge: Bridge, names: tuple[str, ...], candidates: Array, count: int) -> Array:
    """The labels among candidates whose spectra would teach the emulator most, in that order, shape (count, K).

    Args:
        bridge: With an emulator that knows the covariance of its errors.
        names: Labels of the columns; those of the bridge, in any order.
        candidates: Shape (C, K).
        count: How many.

    Raises:
        ModelError: If the emulator does not know it, or the labels are others.
    """
    emulator: Any = bridge.emulator
    if not isinstance(emulator, ProcessEmulator):
        raise ModelError(
            f"emulator {emulator.config.name!r} does not know its errors; train one named 'process'"
        )
    if set(names) != set(bridge.labels.names):
        wrong = sorted(set(names) ^ set(bridge.labels.names))
        raise ModelError(
            f"the recipe and the model do not have the same labels; they differ in {', '.join(wrong)}"
        )
    order = [names.index(name) for name in bridge.labels.names]
    with torch.no_grad():
        covariance = emulator.open_covariance(bridge.scale(torch.from_numpy(candidates[:, order])))
        rows = least_certain(covariance, float(emulator.kernel.variance), count)
    return candidates[rows.numpy()]
