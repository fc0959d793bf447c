"""How many threads work, and how they wait: beside other jobs, a thread that spins takes the CPU that it waits for.

Nothing here loads torch; `use_threads` sets it where it is loaded.
"""

import logging
import math
import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from pathlib import Path

LOG = logging.getLogger("synth2obs")

WAITING = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")
"""Variables by which a user says how threads of OpenMP wait; whoever has set one has chosen."""

BRIEF = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}
"""Threads that wait soon sleep; GNU's library knows the first, Intel's and LLVM's the second.

With so many turns fits are nearly as fast alone as with the library's own number, and nearly as fast beside busy
processes as with none (`experiments/benchmarks/waiting.py`).
"""

COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Variables by which a user says how many threads there are."""


def free_cpus(proc: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """CPUs that this process may use: those of its affinity, or fewer by the quota of its control groups.

    Args:
        proc: Where Linux says to which groups a process belongs.
        groups: Where their limits stand.
    """
    return max(1, min([_affinity(), *(math.ceil(quota) for quota in _quotas(proc, groups))]))


def _affinity() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _quotas(proc: Path, groups: Path) -> Iterator[float]:
    """CPUs that each control group above a process allows, those without a limit left out."""
    try:
        lines = proc.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = groups if not controllers else groups / "cpu"
        inside = root / path.strip("/")
        # Within a container the group's path may be that of the host, while its limits stand at the root.
        for folder in dict.fromkeys([inside, *inside.parents]):
            if folder == root or root in folder.parents:
                yield from _quota(folder)


def _quota(folder: Path) -> Iterator[float]:
    """Microseconds allowed over those of a period, by either version of control groups."""
    with suppress(OSError, ValueError):
        allowed, period = (folder / "cpu.max").read_text().split()
        if allowed != "max":
            yield int(allowed) / int(period)
    with suppress(OSError, ValueError):
        allowed, period = ((folder / f"cpu.cfs_{what}_us").read_text() for what in ("quota", "period"))
        if int(allowed) > 0:
            yield int(allowed) / int(period)


def share_the_machine(environ: MutableMapping[str, str] = os.environ) -> None:
    """Let threads sleep while they wait, and be no more than the CPUs that are free, unless the user said otherwise.

    For a process of our own, before torch is loaded: its threads look at these variables once.
    """
    if not any(name in environ for name in WAITING):
        environ.update(BRIEF)
    if free_cpus() < _affinity() and not any(name in environ for name in COUNTS):
        # The libraries know a process's affinity, and nothing of quotas.
        environ["OMP_NUM_THREADS"] = str(free_cpus())


def use_threads(wanted: int) -> int:
    """Let torch, its pool between operations and the BLAS of NumPy have so many threads, or as many as CPUs are free.

    Args:
        wanted: At most; more than there are CPUs would wait for each other.

    Returns:
        The number that is set.
    """
    import torch

    count = min(wanted, free_cpus())
    if count < wanted:
        LOG.info("threads: %d of %d, because no more CPUs are free to this process", count, wanted)
    torch.set_num_threads(count)
    if torch.get_num_interop_threads() > count:
        # It can be set once only, and not after the pool has begun to work.
        with suppress(RuntimeError):
            torch.set_num_interop_threads(count)
    _limit_blas(count)
    return count


def _limit_blas(count: int) -> None:
    """NumPy and SciPy have a BLAS of their own each, whose threads torch does not know."""
    if "numpy" not in sys.modules:
        return
    with suppress(ImportError):
        from threadpoolctl import threadpool_limits

        threadpool_limits(count, user_api="blas")
