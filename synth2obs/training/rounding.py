"""What the last bits of a training depend on beside its settings: the order in which sums are taken."""

from collections.abc import Mapping
from typing import Any

import torch

from synth2obs.core.told import LOG


def rounding() -> dict[str, str]:
    """Threads, version and instructions by which torch computes in this process."""
    return {
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def warn_of_other_rounding(name: str, before: Mapping[str, Any]) -> None:
    """Say that a stage goes on under other conditions than it was left in: equal to rounding, not bit for bit.

    Args:
        name: Of the stage.
        before: What `rounding` said when its checkpoint was written; empty in one of an older version.
    """
    now = rounding()
    other = [
        f"{key} {before[key]} → {value}" for key, value in now.items() if before.get(key, value) != value
    ]
    if other:
        LOG.warning(
            "%s: was begun with %s; sums are taken in another order, so that its numbers are those of an "
            "uninterrupted training but for rounding, not bit for bit",
            name,
            ", ".join(other),
        )
