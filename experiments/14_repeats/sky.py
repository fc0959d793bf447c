"""What a survey's residuals have at fixed observed wavelengths, by a bridge that was trained on it.

python experiments/14_repeats/sky.py BRIDGE lamost_lrs.h5 -s lamost_lrs
"""

import argparse
from pathlib import Path

import numpy as np

from synth2obs.analysis.bands import band_of
from synth2obs.analysis.frames import Frames, survey_frames
from synth2obs.analysis.survey_gap import gap_floor, gap_lines, survey_gap, typical_labels
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bundle import load_bundle
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.refine import ROUND, teachers
from synth2obs.models.fit.task import fit_labels

SKY = {"[O I] 5577": 5578.9, "[O I] 6300": 6302.05, "[O I] 6364": 6365.5, "Na D₂": 5891.6, "Na D₁": 5897.6}
"""Lines of the night sky in vacuum Å."""


def lines(found: Frames) -> list[tuple[float, float, float, float]]:
    """Wavelength, O, its error and R at the extremum of every run of nodes that stand still, the largest first."""
    fixed, rows = found.fixed(), []
    starts = np.nonzero(fixed & ~np.roll(fixed, 1))[0]
    for start in starts:
        stop = start + int(np.argmin(np.append(fixed[start:], False)))
        at = start + int(np.abs(found.observed[start:stop]).argmax())
        rows.append((found.wavelength[at], found.observed[at], found.observed_error[at], found.rest[at]))
    return sorted(rows, key=lambda row: -abs(row[1]))


def main() -> None:
    """Print what stands still."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge", type=Path)
    parser.add_argument("shard", type=Path)
    parser.add_argument("-s", "--survey", required=True)
    args = parser.parse_args()
    bridge = load_bundle(args.bridge)
    pixels = bridge.survey(args.survey).wavelength
    spectra = cut_wavelengths(read_shard(args.shard), float(pixels[0]) - 0.01, float(pixels[-1]) + 0.01)
    assert spectra.ivar is not None
    seen = prepare(bridge, args.survey, spectra.take((spectra.ivar > 0).mean(1) > 0.7))
    kept = teachers(bridge, fit_labels(bridge, seen, ROUND), bridge.survey(args.survey).gap.config.outlier)
    seen = seen.take(kept.nonzero()[:, 0])
    fit = fit_labels(bridge, seen, ROUND)
    found = survey_frames(bridge, seen, fit)
    rows = lines(found)
    print(
        f"{len(seen)} spectra, shifts scatter by {found.spread:.2f} pixels; untold: {found.untold.mean():.1%} of pixels"
    )
    print(f"standing still: {found.fixed().mean():.1%} of pixels, {len(rows)} runs\n")
    print("| vacuum Å | observed frame (%) | rest frame there (%) | known as |\n| --- | --- | --- | --- |")
    for wavelength, value, error, rest in rows[:20]:
        known = next((name for name, at in SKY.items() if abs(at - wavelength) < 4.0), band_of(wavelength))
        print(f"| {wavelength:.1f} | {100 * value:+.2f} ± {100 * error:.2f} | {100 * rest:+.2f} | {known} |")
    print("\n| sky line | observed frame (%) | rest frame there (%) |\n| --- | --- | --- |")
    for name, at in SKY.items():
        node = int(np.abs(found.wavelength - at).argmin())
        cells = 100 * found.observed[node], 100 * found.observed_error[node], 100 * found.rest[node]
        print(f"| {name} | {cells[0]:+.2f} ± {cells[1]:.2f} | {cells[2]:+.2f} |")
    labels = typical_labels(bridge, fit)
    gap = survey_gap(bridge, args.survey, labels)
    floor = gap_floor(bridge, args.survey, labels, gap)
    own = gap_lines(bridge, args.survey, labels, gap, 50, None, floor=floor)
    foreign = [line for line in own if found.foreign(line.wavelength, line.depth)]
    named = ", ".join(f"{line.wavelength:.0f} ({line.note or line.element})" for line in foreign)
    print(f"\nof the gap's {len(own)} deepest lines {len(foreign)} stand still: {named}")


if __name__ == "__main__":
    main()
