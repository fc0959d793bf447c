"""What an overlay found against the truth: bias and scatter of Δ log gf, its errors, and its probabilities.

python experiments/10_line_overlay/score.py RECIPE truth.ecsv overlay.ecsv
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.line_overlay.listed import Strengths, listed_of
from synth2obs.core.robust import scatter
from synth2obs.synthesis.overlay import LINE, Correction, Overlay, read_overlay

Floats = NDArray[np.float64]
TEFF = 5270.0
"""K: of the median star."""

STRONG = -7.5
"""log10 of the strength from which lines saturate."""
STATED = (0.0, 0.2, 0.5, 0.8, 0.95, 1.001)


def by_line(overlay: Overlay) -> dict[tuple[str, float], Correction]:
    """Rows of listed lines, each component of a transition, by species and wavelength in air."""
    return {(row.species, row.wavelength_air): row for row in overlay.rows if row.kind == LINE}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("overlay", type=Path)
    parser.add_argument("--each", action="store_true", help="print every line")
    args = parser.parse_args()
    truth, overlay = by_line(read_overlay(args.truth)), read_overlay(args.overlay)
    found = by_line(overlay)
    listed = listed_of(args.recipe)
    levels = np.log10(Strengths.of(listed.transitions).summed(TEFF))
    strength = {
        (species.name, float(air)): float(level)
        for each, level in zip(listed.transitions, levels, strict=True)
        for (species, _), air in zip(each.members, each.air, strict=True)
    }
    heads = {}
    for key, row in truth.items():
        heads.setdefault(("truth", row.transition), key)
    for key, row in found.items():
        if key not in heads.values() and not any(k in truth for k in [key]):
            heads.setdefault(("found", row.transition), key)
    keys = list(heads.values())
    true = np.array([truth[key].delta_log_gf if key in truth else 0.0 for key in keys])
    rows = [found.get(key) for key in keys]
    delta = np.array([row.delta_log_gf if row else 0.0 for row in rows])
    sigma = np.array([row.delta_log_gf_error if row else np.nan for row in rows])
    stated = np.array([row.probability if row else 0.0 for row in rows])
    wrong = np.array([key in truth for key in keys])
    print(f"{wrong.sum()} wrong lines, {(wrong & (stated > 0.5)).sum()} of them found with p > 0.5")
    if args.each:
        for n in np.argsort([key[1] for key in keys]):
            name, air = keys[n]
            group = rows[n].group if rows[n] else -1
            print(
                f"{name:6s} {air:9.3f} s {strength[keys[n]]:6.2f}  true {true[n]:+.3f}  found {delta[n]:+.3f} ± "
                f"{sigma[n]:.3f}  p {stated[n]:.2f}  group {group}"
            )
    print(
        "\n| lines | number | true rms | found − true: median | 1.48 MAD | rms | slope | within 1 σ (%) | 2 σ (%) |"
    )
    print("|" + " --- |" * 9)
    level = np.array([strength[key] for key in keys])
    some = {
        "wrong, p > 0.5": wrong & (stated > 0.5),
        "wrong, p > 0.95": wrong & (stated > 0.95),
        "of these, strong": wrong & (stated > 0.95) & (level > STRONG),
        "of these, weak": wrong & (stated > 0.95) & (level <= STRONG),
        "wrong, all": wrong,
        "right in the list, but p > 0.5": ~wrong & (stated > 0.5),
    }
    for name, chosen in some.items():
        print(_row(name, true[chosen], delta[chosen], sigma[chosen]))
    print("\n| stated | lines | stated, mean | wrong indeed |\n| --- | --- | --- | --- |")
    for low, high in zip(STATED[:-1], STATED[1:], strict=True):
        chosen = (stated >= low) & (stated < high) & (stated > 0)
        if chosen.any():
            means = f"{stated[chosen].mean():.2f} | {wrong[chosen].mean():.2f}"
            print(f"| {low}–{min(high, 1.0)} | {chosen.sum()} | {means} |")
    missing = [row for row in overlay.rows if row.kind != LINE]
    print(f"\n{len(missing)} missing lines, of which there are none")


def _row(name: str, true: Floats, delta: Floats, sigma: Floats) -> str:
    away = delta - true
    if not len(away):
        return f"| {name} | 0 |" + " |" * 7
    pull = np.abs(away) / sigma
    slope = float(true @ delta / max(true @ true, 1e-12))
    return (
        f"| {name} | {len(away)} | {np.sqrt(np.mean(true**2)):.3f} | {np.median(away):+.3f} | "
        f"{scatter(away):.3f} | {np.sqrt(np.mean(away**2)):.3f} | {slope:.2f} | "
        f"{100 * np.nanmean(pull < 1):.0f} | {100 * np.nanmean(pull < 2):.0f} |"
    )


if __name__ == "__main__":
    main()
