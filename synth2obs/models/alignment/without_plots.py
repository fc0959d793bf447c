"""Import a library that asks for pyplot without loading matplotlib."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

NAMES = ("matplotlib", "matplotlib.pyplot")


@contextmanager
def without_pyplot() -> Iterator[None]:
    """Empty modules in the place of matplotlib while the block imports; where it is loaded already it stays."""
    if "matplotlib" in sys.modules:
        yield
        return
    stubs = {name: ModuleType(name) for name in NAMES}
    setattr(stubs["matplotlib"], "pyplot", stubs["matplotlib.pyplot"])  # noqa: B010 - a module has no such field
    sys.modules.update(stubs)
    try:
        yield
    finally:
        for name in NAMES:
            if sys.modules.get(name) is stubs[name]:
                del sys.modules[name]
