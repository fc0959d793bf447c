"""Labels by group of lines: groups that disagree on the same stars show an error of theory, whoever is right.

The common form of excitation and ionisation balance: a shift of labels moves all groups alike, an error of some lines
moves theirs alone. No label from elsewhere is needed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from synth2obs.analysis.recovery import fitted_labels, label_errors
from synth2obs.core.constants import BALMER_REACH
from synth2obs.core.labels import STELLAR
from synth2obs.core.robust import middle
from synth2obs.core.wavelengths import from_balmer
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.survey import SHIFTED
from synth2obs.physics.doppler import log_doppler

STRONG = 0.1
"""Depth of a spectrum from which a pixel is in a strong line."""

STARS = 24
"""Stars that are fitted, at most."""

Choice = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Rest wavelengths in Å, depth of the spectrum, and place in the range from 0 to 1 → pixels, (N, P) each."""


def _hydrogen(wavelength: Tensor) -> Tensor:
    return torch.from_numpy(from_balmer(wavelength.numpy()) < BALMER_REACH)


def _part(low: float, high: float) -> Choice:
    return lambda wavelength, depth, place: (place >= low) & (place < high) & ~_hydrogen(wavelength)


GROUPS: Mapping[str, Choice] = {
    "hydrogen": lambda wavelength, depth, place: _hydrogen(wavelength),
    "metals": lambda wavelength, depth, place: ~_hydrogen(wavelength),
    "strong": lambda wavelength, depth, place: (depth > STRONG) & ~_hydrogen(wavelength),
    "weak": lambda wavelength, depth, place: (depth <= STRONG) & ~_hydrogen(wavelength),
    "blue": _part(0.0, 1 / 3),
    "middle": _part(1 / 3, 2 / 3),
    "red": _part(2 / 3, 1.01),
}
"""Pixels of every group: hydrogen's are in no other; metals are all others, in strong or weak lines, or in thirds."""


@torch.no_grad()
def labels_by_group(
    bridge: Bridge, seen: Observation, fit: LabelFit, *, morphed: bool
) -> dict[str, dict[str, dict[str, float]]]:
    """How labels from a group of lines differ from those of all lines, on the same stars.

    Args:
        bridge: Trained.
        seen: Stars.
        fit: Of their whole spectra, made in the same way.
        morphed: Whether the morph takes part; False is theory with weighted pixels.

    Returns:
        By group and label: ``difference``, the median over stars in K and dex, and its ``error``; a label that a group
        does not tell is left out, and so is a group that has no pixels.
    """
    rows = torch.arange(min(len(seen), STARS))
    some, options = seen.take(rows), Options(steps=4, refresh=1, rv_sigma=0.0, morphed=morphed)
    whole = fit_labels(bridge, some, options, fit.x[rows], fit.rv[rows])
    wavelength = (some.log_wave - log_doppler(whole.rv)[:, None]).exp()
    depth, place = 1.0 - whole.spectrum, place_in_range(some.log_wave).expand(len(rows), -1)
    found = {}
    for name, choose in GROUPS.items():
        inside = choose(wavelength, depth, place)
        if not (inside & (some.ivar > 0)).any():
            continue
        part = fit_labels(bridge, replace(some, ivar=some.ivar * inside), options, whole.x, whole.rv)
        found[name] = _differences(bridge, part, whole)
    return found


def place_in_range(log_wave: Tensor) -> Tensor:
    """Of pixels in their range, from 0 to 1, shape (..., P)."""
    low, high = log_wave.amin(-1, keepdim=True), log_wave.amax(-1, keepdim=True)
    return (log_wave - low) / (high - low)


def _differences(bridge: Bridge, part: LabelFit, whole: LabelFit) -> dict[str, dict[str, float]]:
    told = np.median(label_errors(bridge, part), axis=0)
    columns = zip(
        STELLAR, told, *middle(fitted_labels(bridge, part) - fitted_labels(bridge, whole)), strict=True
    )
    return {
        name: {"difference": float(difference), "error": float(error)}
        for name, own, difference, error in columns
        if own < SHIFTED[name]
    }
