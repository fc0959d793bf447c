"""What the library is compared with: installed packages, and networks rebuilt at their published sizes."""

import importlib
import importlib.metadata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Needs:
    """A package that a peer is part of, by the names of its distribution and of its module."""

    distribution: str
    module: str

    @property
    def missing(self) -> str:
        """What to do about it if it is not installed, else an empty string."""
        try:
            with quiet():
                importlib.import_module(self.module)
        except ImportError as error:
            return f"not installed ({error}): pip install {self.distribution}"
        return ""

    @property
    def version(self) -> str:
        """Version of the distribution, empty if it is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return ""


SPECUTILS = Needs("specutils", "specutils.manipulation")
SPECTRES = Needs("spectres", "spectres")
PYASTRONOMY = Needs("PyAstronomy", "PyAstronomy.pyasl")
RVSPECFIT = Needs("rvspecfit", "rvspecfit.spec_fit")
SPENDER = Needs("spender", "spender")
PACKAGES = (SPECUTILS, SPECTRES, PYASTRONOMY, RVSPECFIT, SPENDER)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that peers give about themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
