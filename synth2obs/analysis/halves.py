"""Labels from two halves of the same spectra: errors that are right say how far these are apart, whoever is right.

No label from elsewhere is needed, and no prior of stellar evolution takes part. Halves are every other block of
wavelengths, so that both have lines of all kinds, and blocks are wide beside the errors of theory that neighbouring
pixels share.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from synth2obs.analysis.agreement import difference_covariance, spread, spread_over
from synth2obs.analysis.line_groups import place_in_range
from synth2obs.core.labels import STELLAR
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels, joint_covariance

BLOCKS = 12
"""Blocks of wavelengths of the same width in ln λ."""

STARS, FEWEST = 48, 8
"""Stars that are fitted, at most, and those below which a width says nothing."""


@torch.no_grad()
def labels_by_halves(
    bridge: Bridge, seen: Observation, fit: LabelFit, rows: Tensor, *, morphed: bool
) -> dict[str, dict[str, float]]:
    """How far labels from both halves are apart, in units of what their errors say.

    Fits have no stellar-evolution prior, and keep the velocity of the whole spectrum. Expected differences are those
    of `agreement.difference_covariance`, over labels and the emulator's error, which both halves share.

    Args:
        bridge: Trained.
        seen: Stars of a survey, N of them.
        fit: Of their whole spectra.
        rows: Stars that may take part; the first of them do.
        morphed: Whether the morph takes part; False is theory with weighted pixels.

    Returns:
        By label: ``width``, the robust standard deviation of pulls about 0 (1 if errors are right), its
        ``width_error`` by bootstrap over stars, ``quoted`` and ``real``, the median error of the difference and its
        scatter in K and dex, and ``n``; empty with less than `FEWEST` stars.
    """
    rows = rows[:STARS]
    if len(rows) < FEWEST:
        return {}
    some, whole = seen.take(rows), fit.take(rows)
    options = Options(steps=6, refresh=1, rv_sigma=0.0, population=False, morphed=morphed)
    half = halves(some.log_wave)
    parts = [replace(some, ivar=some.ivar * part) for part in (half, ~half)]
    first, second = (fit_labels(bridge, part, options, whole.x, whole.rv) for part in parts)
    (one, prior), (two, _) = (
        joint_covariance(bridge, part, own, options) for part, own in zip(parts, (first, second), strict=True)
    )
    variance = difference_covariance(one, two, prior).diagonal(dim1=1, dim2=2)[:, : len(bridge.labels)]
    return _numbers(bridge, whole.x, second.x - first.x, variance.sqrt())


def halves(log_wave: Tensor) -> Tensor:
    """Pixels of the first half, every other of `BLOCKS` blocks, (..., P)."""
    return (place_in_range(log_wave) * BLOCKS).long() % 2 == 0


def _numbers(bridge: Bridge, x: Tensor, difference: Tensor, error: Tensor) -> dict[str, dict[str, float]]:
    slope = bridge.scale.slope(x).abs()
    found = {}
    for name in STELLAR:
        column = bridge.labels.index(name)
        pulls = (difference / error)[:, column].numpy()
        score = spread_over(pulls, np.arange(len(pulls)))
        real, quoted = ((part * slope)[:, column].numpy() for part in (difference, error))
        found[name] = {
            "width": score.value,
            "width_error": score.error,
            "quoted": float(np.nanmedian(quoted)),
            "real": spread(real),
            "n": len(pulls),
        }
    return found
