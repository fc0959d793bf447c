"""How finely the rest grid must sample: error of the instrument against widths of lines and line spread in samples."""

import math
from itertools import product

import numpy as np
import torch

from benchmarks.report import Column, Table
from benchmarks.tables import DTYPES, Setting
from benchmarks.truth import Lines
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import log_grid
from synth2obs.physics import Instrument

STEP = 8e-5
WIDTHS = (2.0, 1.0 / (6000.0 * 2.3548 * STEP))
"""σ of the lines in samples: well sampled, and as R = 6000 leaves them."""

APPLIED = (0.05, 0.5, 1.0, 1.5, 2.0, 3.5)
VELOCITY = 137.0

NOTE = "Largest error of a pixel, in units of the continuum; a line spread narrower than a sample cannot be sampled."
COLUMNS = (
    Column("applied", "applied σ (samples)", "ratio"),
    Column("line", "line σ (samples)", "ratio"),
    Column("float64", "float64", "error"),
    Column("float32", "float32", "error"),
)


def measure(setting: Setting) -> Table:
    """40 lines of 5 to 60 %, pixels of 0.7 Å, against the closed form; ``setting`` does not matter."""
    rest = log_grid(5000.0, 5250.0, STEP)
    pixels = np.arange(5040.0, 5110.0, 0.7)
    rows = []
    for line, applied in product(WIDTHS, APPLIED):
        rows.append({"line": line, "applied": applied, **_errors(rest, pixels, line * STEP, applied * STEP)})
    facts = {"rest step in ln λ": STEP, "velocity in km/s": VELOCITY}
    return Table("Sampling of the rest grid", NOTE, COLUMNS, rows, facts)


def _errors(rest: np.ndarray, pixels: np.ndarray, width: float, applied: float) -> dict[str, float]:
    random = np.random.default_rng(7)
    centre = np.sort(random.uniform(math.log(5030.0), math.log(5220.0), 40))
    lines, depth = Lines(centre, np.full(40, width)), random.uniform(0.05, 0.6, 40)
    flux = torch.from_numpy(1.0 - lines.sampled(np.log(rest)) @ depth)[None]
    truth = 1.0 - lines.seen(np.log(pixels - 0.35), np.log(pixels + 0.35), VELOCITY, applied) @ depth
    instrument = Instrument(rest, pixels, np.zeros(len(pixels)), LineSpread.gaussian(pixels * applied), 0.0)
    rv = torch.tensor([VELOCITY], dtype=torch.float64)
    with torch.no_grad():
        found = {name: instrument(flux.to(kind), rv)[0].double().numpy() for name, kind in DTYPES.items()}
    return {name: float(np.abs(values - truth).max()) for name, values in found.items()}
