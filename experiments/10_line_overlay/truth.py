"""Errors of log gf that nature has and theory lacks: lines drawn at random, as an overlay.

python experiments/10_line_overlay/truth.py RECIPE -o truth.ecsv
"""

import argparse
from pathlib import Path

import numpy as np

from synth2obs.analysis.line_overlay.listed import Strengths, Transition, read_listed
from synth2obs.synthesis.overlay import LINE, Correction, Overlay, isotopes_text, write_overlay
from synth2obs.synthesis.recipe import read_recipe

TEFF = 5400.0
"""K, at which lines are strong enough to be chosen."""

STRENGTH = -8.8
"""log10 of the least strength: some milliångströms in such a star."""

SPREAD, LARGEST = 0.3, 0.6
"""dex: of the errors."""


def rows_of(transition: Transition, number: int, delta: float) -> list[Correction]:
    """Rows of all components of a transition that have one change."""
    return [
        Correction(
            kind=LINE,
            list_number=transition.list_number,
            species=species.name,
            code=species.code,
            ion=species.ion,
            isotopes=isotopes_text(species.isotopes),
            wavelength_air=float(air),
            wavelength_vacuum=float(vacuum),
            excitation=line.excitation,
            log_gf=line.loggf,
            delta_log_gf=delta,
            delta_log_gf_error=0.0,
            probability=1.0,
            none=0.0,
            transition=number,
            group=number,
        )
        for (species, line), vacuum, air in zip(
            transition.members, transition.vacuum, transition.air, strict=True
        )
    ]


def main() -> None:
    """Write the truth."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=50)
    parser.add_argument("--seed", type=int, default=20)
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    listed = read_listed(recipe.line_list)
    low, high = recipe.spectrum.bands[0][0], recipe.spectrum.bands[-1][1]
    strength = np.log10(Strengths.of(listed.transitions).summed(TEFF))
    strong = [
        each
        for each, level in zip(listed.transitions, strength, strict=True)
        if low + 1.0 < each.air.mean() < high - 1.0 and level > STRENGTH
    ]
    random = np.random.default_rng(args.seed)
    chosen = random.choice(len(strong), args.lines, replace=False)
    deltas = np.clip(random.normal(0.0, SPREAD, args.lines), -LARGEST, LARGEST).round(3)
    rows = [
        row
        for number, (place, delta) in enumerate(zip(chosen, deltas, strict=True))
        for row in rows_of(strong[place], number, float(delta))
    ]
    write_overlay(Overlay(rows=rows, lists=listed.files, meta={"seed": args.seed}), args.out)
    print(f"{args.out}: {args.lines} of {len(strong)} transitions, {len(rows)} lines")


if __name__ == "__main__":
    main()
