"""Does a gap predict what labels did not see? Labels from two thirds of the wavelengths, scored in the last."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.entrants import Entrant
from synth2obs.analysis.line_groups import place_in_range
from synth2obs.analysis.proof.two_sample import whitened
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

Floats = NDArray[np.float64]

PARTS = 3
"""Parts of the range in ln λ, each of which labels do without in turn."""


@torch.no_grad()
def unseen_excess(entrant: Entrant, seen: Observation, fit: LabelFit, noise: float) -> Floats:
    """χ² beyond the noise where labels did not look, over the pixels there, of every star, shape (N,).

    Each part in turn is masked for a fit of labels; at these labels all pixels say velocity and continuum, which no
    part could be judged without.

    Args:
        entrant: A method that has spectra.
        seen: Held-out stars.
        fit: Its fit of all their pixels, where the others start.
        noise: Noise over the noise that is stated.
    """
    chi2, pixels = np.zeros(len(seen)), np.zeros(len(seen))
    free = (seen.continuum_basis.shape[-1] + 1) / PARTS
    for hidden in parts(seen):
        without = replace(seen, ivar=torch.where(hidden, 0.0, seen.ivar))
        blind = entrant.answer(without, fit).fit
        assert blind is not None
        held = entrant.held(seen, blind.x, blind.rv)
        assert held is not None
        there = (hidden & (seen.ivar > 0) & (held.ivar > 0)).numpy()
        chi2 += (whitened(seen, held, noise) ** 2 * there).sum(1)
        pixels += there.sum(1) - free
    return np.asarray((chi2 - pixels) / np.maximum(pixels, 1.0))


def parts(seen: Observation) -> list[Tensor]:
    """Which pixels lie in each part, shape (P,) or (N, P) each."""
    number = (place_in_range(seen.log_wave) * PARTS).floor().clamp(max=PARTS - 1)
    return [number == part for part in range(PARTS)]
