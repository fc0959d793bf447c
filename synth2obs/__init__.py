"""Measure and close the gap between theoretical stellar spectra and what telescopes see.

Light to import: torch, astropy and mlflow are loaded by the functions that need them.
"""

import logging
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_HOMES = {
    "load_bridge": "synth2obs.api",
    "morph": "synth2obs.api",
    "morph_batches": "synth2obs.api",
    "encode": "synth2obs.api",
    "fit_labels": "synth2obs.api",
    "generate": "synth2obs.api",
    "measure_gap": "synth2obs.api",
    "survey_population": "synth2obs.api",
    "calibration_report": "synth2obs.api",
    "decode": "synth2obs.api",
    "latent_lines": "synth2obs.api",
    "instrument": "synth2obs.api",
    "instruments": "synth2obs.api",
    "read": "synth2obs.api",
    "ingest": "synth2obs.api",
    "train": "synth2obs.api",
    "adapt": "synth2obs.api",
}
"""Public function → the module that has it."""

__all__ = [
    "__version__",
    "adapt",
    "calibration_report",
    "decode",
    "encode",
    "fit_labels",
    "generate",
    "ingest",
    "instrument",
    "instruments",
    "latent_lines",
    "load_bridge",
    "measure_gap",
    "morph",
    "morph_batches",
    "read",
    "survey_population",
    "train",
]

# Silent unless whoever imports it listens: logging.basicConfig(level="INFO") shows what a training does.
logging.getLogger(__name__).addHandler(logging.NullHandler())

try:
    __version__ = version("synth2obs")
except PackageNotFoundError:
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synth2obs' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
