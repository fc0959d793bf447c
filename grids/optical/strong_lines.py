"""The strongest lines of the grid's line lists, by which a report names what lies at a wavelength.

    python grids/optical/strong_lines.py synth2obs/data/strong_lines.csv

Kept are the strongest transitions of atoms between 3600 and 7400 Å, and the strongest of every 1.5 Å; strengths are the
largest of those at 4500, 5777 and 6500 K, up to the partition function.
"""

import csv
import io
import sys
from pathlib import Path

import numpy as np

from synth2obs.analysis.line_overlay.listed import Listed, Strengths, Transition, listed_of
from synth2obs.core.files import write_atomic

RECIPE = Path(__file__).with_name("recipe.toml")
RANGE = (3600.0, 7400.0)
STARS = (4500.0, 5777.0, 6500.0)
STRONGEST, BIN = 4000, 1.5
ROMAN = {1: "I", 2: "II", 3: "III"}


def rows(listed: Listed) -> list[list[str]]:
    """Wavelength in vacuum Å, species, eV, log gf and log strength of the lines that are kept, by wavelength."""
    centre = np.array([own.vacuum.mean() for own in listed.transitions])
    strengths = Strengths.of(listed.transitions)
    strength = np.max([strengths.summed(teff) for teff in STARS], axis=0)
    order = np.argsort(-strength)
    order = order[(centre[order] > RANGE[0]) & (centre[order] < RANGE[1]) & (strength[order] > 0)]
    _, first = np.unique(np.floor(centre[order] / BIN), return_index=True)
    kept = np.unique(np.concatenate([order[:STRONGEST], order[first]]))
    kept = kept[np.argsort(centre[kept])]
    return [_row(listed.transitions[k], centre[k], float(np.log10(strength[k]))) for k in kept]


def _row(own: Transition, centre: float, strength: float) -> list[str]:
    lines = [line for _, line in own.members]
    total = np.log10(sum(10.0**line.loggf for line in lines))
    name = f"{own.species.element} {ROMAN[own.species.ion]}"
    return [f"{centre:.3f}", name, f"{lines[0].excitation:.3f}", f"{total:.3f}", f"{strength:.2f}"]


def main(out: Path) -> None:
    """Write the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["wavelength", "species", "excitation", "log_gf", "log_strength"])
    writer.writerows(rows(listed_of(RECIPE)))
    write_atomic(out, text.getvalue().encode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
