"""Errors of log gf that nature has and theory lacks: lines drawn at random, as an overlay.

python experiments/10_line_overlay/truth.py RECIPE -o truth.ecsv
"""

import argparse
from pathlib import Path

import numpy as np

from synth2obs.analysis.line_overlay.listed import Transition, read_listed
from synth2obs.analysis.line_overlay.overlay import corrections
from synth2obs.synthesis.composition import SYMBOLS
from synth2obs.synthesis.ionisation import FIRST
from synth2obs.synthesis.isotopes import TERRESTRIAL
from synth2obs.synthesis.line_lists import IRON, SOLAR
from synth2obs.synthesis.overlay import Correction, Overlay, write_overlay
from synth2obs.synthesis.recipe import read_recipe

TEMPERATURE, ELECTRON_PRESSURE = 4860.0, 1.0
"""K, and log10 dyn cm⁻², at which lines are strong enough to be chosen: the method that is tested has its own."""

STRENGTH = -7.8
"""log10 of the least strength relative to iron: some milliångströms in such a star."""

SPREAD, LARGEST = 0.3, 0.6
"""dex: of the errors."""


def strength(transition: Transition) -> float:
    """log10 of what a line's strength follows: abundance, isotope, stage of ionisation, log gf, population."""
    total = 0.0
    for species, line in transition.members:
        ratio = (
            -0.1761
            - ELECTRON_PRESSURE
            + 2.5 * np.log10(TEMPERATURE)
            - 5040.0 / TEMPERATURE * FIRST[species.code - 1]
        )
        stage = 1.0 / (1.0 + 10.0 ** (ratio if species.ion == 1 else -ratio))
        share = TERRESTRIAL.get(SYMBOLS[species.code - 1], {}).get(species.isotopes[0], 1.0)
        exponent = line.loggf - 5040.0 / TEMPERATURE * line.excitation
        total += stage * share * 10.0 ** (exponent + SOLAR[species.code - 1] - SOLAR[IRON - 1])
    return float(np.log10(total))


def rows_of(transition: Transition, number: int, delta: float) -> list[Correction]:
    """Rows of all components of a transition that have one change."""
    known = {"delta_log_gf": delta, "delta_log_gf_error": 0.0, "probability": 1.0, "none": 0.0}
    return list(corrections(transition, transition=number, group=number, **known))


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
    strong = [
        each
        for each in listed.transitions
        if each.species.ion < 3 and low + 1.0 < each.air.mean() < high - 1.0 and strength(each) > STRENGTH
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
