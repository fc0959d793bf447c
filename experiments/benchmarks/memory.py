"""Peak memory of one call, as the kernel counts it for the process."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_memory(call: Callable[[], object]) -> float | None:
    """MiB that a call adds to what the process held before it, its result included.

    Freed memory is first given back to the system, or a call would find it and seem to need none.

    Returns:
        None where the kernel does not tell (not Linux, or no access to ``clear_refs``).
    """
    if not _reset():
        return None
    before = _kilobytes("VmRSS")
    result = call()
    peak = _kilobytes("VmHWM")
    del result
    return max(peak - before, 0) / 1024.0


def _reset() -> bool:
    if sys.platform != "linux":
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    try:
        CLEAR.write_text("5")
    except OSError:
        return False
    return True


def _kilobytes(name: str) -> int:
    lines = STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
