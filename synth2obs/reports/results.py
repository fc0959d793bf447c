"""Reading what an evaluation left behind: ``metrics.json`` and ``evaluation/<survey>.npz``."""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.core.digests import refuse_changed
from synth2obs.core.errors import DataError
from synth2obs.reports.checks import EVALUATE_AGAIN, Arrays, check_arrays, check_metrics

Metrics = Mapping[str, Any]

METHODS = {
    "theory": "theory",
    "theory_weighted": "theory, pixels weighted",
    "constant_residual": "constant residual",
    "linear_residual": "residual linear in labels",
    "marginal_alignment": "marginal alignment",
    "morph": "morph",
}
"""The compared methods, in the order of every table, with the name a reader sees."""

LABELS = {"teff": ("Teff", "K", 0), "logg": ("log g", "dex", 2), "fe_h": ("[Fe/H]", "dex", 2)}
"""Evaluated labels, in the order of the label columns: (name, unit, decimals)."""


def read_metrics(path: Path) -> dict[str, Any]:
    """The numbers of an evaluation.

    Args:
        path: A ``metrics.json``.

    Raises:
        DataError: If it is missing, has changed since it was written, is no JSON, is of another format, or holds a
            value of the wrong type; the message names the file and the key.
    """
    refuse_changed(path)
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(
            f"cannot be read ({error.strerror})",
            path=path,
            remedy="train or evaluate first, or name the run's folder",
        ) from error
    except ValueError as error:
        raise DataError(f"is not JSON ({error})", path=path, remedy=EVALUATE_AGAIN) from error
    check_metrics(metrics, path)
    return dict(metrics)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of one survey's evaluation; nothing in the file can run code.

    Raises:
        DataError: If the file is no readable ``.npz``, has changed since it was written, or an array has the wrong
            shape or type.
    """
    arrays = read_npz(path)
    check_arrays(arrays, path)
    return arrays


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of a file; nothing in it can run code.

    Raises:
        DataError: If it is no readable ``.npz``, or has changed since it was written.
    """
    refuse_changed(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"is not a readable .npz ({error})", path=path, remedy=EVALUATE_AGAIN) from error
    return arrays


def lookup(table: Any, *keys: str) -> Any:
    """A nested value, or None where any part of the way is missing or null."""
    for key in keys:
        if isinstance(table, Mapping):
            table = table.get(key)
        else:
            return None
    return table


def measured(table: Any, *keys: str) -> float | None:
    """A nested number, or None if it is missing, null or not finite."""
    value = lookup(table, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def gap_lines(row: Any, kind: str = "lines") -> list[Mapping[str, Any]]:
    """The gap's ``lines`` or ``telluric`` lines of one survey, deepest first."""
    found = lookup(row, "gap", kind)
    lines = [line for line in found if isinstance(line, Mapping)] if isinstance(found, list) else []
    return sorted(lines, key=lambda line: -abs(measured(line, "depth") or 0.0))


def has(arrays: Arrays, *names: str) -> bool:
    """Whether every named array is there and holds at least one finite value."""
    return all(n in arrays and arrays[n].size > 0 and bool(np.isfinite(arrays[n]).any()) for n in names)


def bias_and_scatter(difference: NDArray[Any]) -> tuple[float | None, float | None]:
    """Median and 1.4826 MAD of the finite values; None if there are none."""
    finite = difference[np.isfinite(difference)]
    if finite.size == 0:
        return None, None
    bias = float(np.median(finite))
    return bias, float(MAD_TO_SIGMA * np.median(np.abs(finite - bias)))
