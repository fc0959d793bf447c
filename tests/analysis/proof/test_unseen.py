"""Labels that do without a third of the wavelengths, and what is left there."""

from types import SimpleNamespace

import numpy as np
import torch

from synth2obs.analysis.entrants import Answer
from synth2obs.analysis.proof.unseen import PARTS, parts, unseen_excess
from synth2obs.models.fit.observation import Observation

STARS, PIXELS = 50, 300


def stars(deep=()):
    random = torch.Generator().manual_seed(2)
    flux = 1.0 + 0.01 * torch.randn(STARS, PIXELS, generator=random)
    for pixel in deep:
        flux[:, pixel] -= 0.1
    ivar = torch.full_like(flux, 1e4)
    ivar[:, ::10] = 0.0
    log_wave = torch.linspace(8.5, 8.6, PIXELS)
    return Observation(
        "far", None, flux, ivar, log_wave, torch.ones(PIXELS, 2), torch.zeros(STARS), torch.zeros(PIXELS)
    )


class Cheat:
    """Its spectra have a line of 10 % wherever all stars that labels were fitted to have one."""

    def __init__(self):
        self.asked = []

    def answer(self, seen, start=None):
        self.asked.append((seen.ivar > 0).float().mean().item())
        mean = (seen.flux * (seen.ivar > 0)).mean(0)
        line = torch.where((mean < 0.95) & (mean > 0), -0.1, 0.0)
        fit = SimpleNamespace(x=line, rv=None)
        return Answer(np.zeros((STARS, 3)), np.ones((STARS, 3)), fit)

    def held(self, seen, x, rv):
        return SimpleNamespace(
            spectrum=(1.0 + x).expand(STARS, -1), continuum=torch.ones(STARS, PIXELS), ivar=seen.ivar
        )


def test_parts_are_thirds_that_together_are_everything():
    found = parts(stars())
    assert len(found) == PARTS and torch.equal(sum(part.int() for part in found), torch.ones(PIXELS).int())
    assert all(abs(int(part.sum()) - PIXELS / PARTS) <= 1 for part in found)


def test_noise_alone_leaves_nothing():
    left = unseen_excess(Cheat(), stars(), None, 1.0)
    assert left.shape == (STARS,) and abs(left.mean()) < 0.05


def test_what_was_learned_from_the_very_pixels_does_not_count():
    seen, cheat = stars(deep=(41, 151, 252)), Cheat()
    seen_left = (0.1**2 * 1e4 * 3) / float((seen.ivar > 0).sum(1)[0])
    left = unseen_excess(cheat, seen, None, 1.0)
    assert abs(left.mean() - seen_left) < 0.1 * seen_left
    assert len(cheat.asked) == PARTS and all(0.5 < share < 0.7 for share in cheat.asked)
