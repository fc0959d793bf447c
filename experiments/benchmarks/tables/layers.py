"""Milliseconds per star of the physics layers alone, for an optical survey of low resolution."""

from collections.abc import Callable

import numpy as np
import torch

from benchmarks.report import Table
from benchmarks.tables import Setting, each_star, star_columns
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.physics import Instrument, chebyshev_basis, profile_continuum

STARS, SAMPLES, PIXELS, FUNCTIONS, ORDER = 128, 9000, 4100, 64, 8
QUICK_STARS = 4

NOTE = (
    f"Single precision; {SAMPLES} rest samples of 8e-5, {PIXELS} pixels of 0.9 Å from 3540.5 Å, FWHM 2.5 Å, grid of "
    "R = 6000, velocities of some 50 km/s."
)


def measure(setting: Setting) -> Table:
    """The table for all numbers of threads."""
    stars = QUICK_STARS if setting.quick else STARS
    rows = each_star(_layers(stars), stars, setting)
    return Table("Layers", NOTE, star_columns("layer"), rows, {"stars": stars})


def _layers(stars: int) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    rest = 3520.0 * np.exp(8e-5 * np.arange(SAMPLES))
    pixels = 3540.5 + 0.9 * np.arange(PIXELS)
    own = rest / (6000.0 * FWHM_PER_SIGMA)
    spread = LineSpread.gaussian(np.full(PIXELS, 2.5 / FWHM_PER_SIGMA))
    instrument = Instrument(rest, pixels, np.zeros(PIXELS), spread, own)
    rv, flux = 50.0 * torch.randn(stars), torch.rand(stars, SAMPLES)
    basis, ivar = torch.randn(SAMPLES, FUNCTIONS), torch.ones(stars, PIXELS)
    leaf = flux.clone().requires_grad_()
    continuum = chebyshev_basis(torch.from_numpy(pixels), torch.zeros(PIXELS), ORDER)
    seen = instrument(flux, rv)
    return {
        "forward": lambda: instrument(flux, rv),
        "forward and gradient of the flux": lambda: torch.autograd.grad(instrument(leaf, rv).sum(), leaf),
        f"project, {FUNCTIONS} functions": lambda: instrument.project(basis, rv),
        f"profile_continuum, {ORDER + 1} coefficients": lambda: profile_continuum(
            seen, seen, ivar, continuum
        ),
    }
