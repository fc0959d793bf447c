"""How large a survey's errors are by its repeated stars: half of them teach, the other half are asked.

python experiments/14_repeats/run.py lamost_lrs.h5 [--order 14]
"""

import argparse
from pathlib import Path

import numpy as np

from synth2obs.core.chance import chance
from synth2obs.io.shard.read import read_shard
from synth2obs.models.noise.repeats import (
    Repeats,
    find_repeats,
    learn_scale,
    nodes_of,
    pair_variance,
    pull_width,
)
from synth2obs.models.noise.survey_noise import ErrorScale

LAGS = (1, 2, 3, 5, 10, 20, 50)


def row(title: str, repeats: Repeats, scale: ErrorScale) -> str:
    """Widths of pulls as quoted, with the factor, and with the floor, too."""
    widths = [
        pull_width(repeats),
        pull_width(repeats, scale, floor=False),
        pull_width(repeats, scale),
    ]
    cells = " | ".join(f"{value:.3f} ± {error:.3f}" for value, error in widths)
    return f"| {title} | {repeats.stars} | {len(repeats.pairs)} | {cells} |"


def brightness(repeats: Repeats) -> np.ndarray:
    """Median signal to noise of every pair, shape (M,)."""
    return np.array([np.median(np.sqrt(p.light[p.good] / p.quoted[p.good])) for p in repeats.pairs])


def part(repeats: Repeats, low: float, high: float) -> Repeats:
    """Pixels between two wavelengths in Å."""
    cut = [
        p._replace(good=p.good & (p.log_wave >= np.log(low)) & (p.log_wave < np.log(high)))
        for p in repeats.pairs
    ]
    return repeats._replace(pairs=cut).take(np.array([bool(p.good.any()) for p in cut]))


def correlation(repeats: Repeats, scale: ErrorScale) -> list[float]:
    """Of pulls at `LAGS`, median over pairs."""
    rows = []
    for pair in repeats.pairs:
        pull = np.clip(
            np.where(pair.good, pair.value / np.sqrt(pair_variance(pair, scale).clip(1e-300)), 0), -5, 5
        )
        rows.append([(pull[k:] * pull[:-k]).mean() / (pull**2).mean() for k in LAGS])
    return np.median(rows, axis=0).tolist()


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("shard", type=Path)
    parser.add_argument(
        "--order", type=int, default=14, help="degree of the ratio's polynomial on a detector"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the halves")
    args = parser.parse_args()
    spectra = read_shard(args.shard)
    repeats = find_repeats(spectra, args.order)
    nodes = nodes_of(spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[0])
    drawn = np.array([chance(args.seed, name) for name in repeats.star])
    teach, ask = repeats.take(drawn < 0.5), repeats.take(drawn >= 0.5)
    scale, whole = learn_scale(teach, nodes), learn_scale(repeats, nodes)
    print("| wavelength (Å) | factor, teaching half | factor, all |\n| --- | --- | --- |")
    for at, *cells in zip(nodes, scale.scale, scale.scale_error, whole.scale, whole.scale_error, strict=True):
        print(f"| {np.exp(at):.0f} | {cells[0]:.3f} ± {cells[1]:.3f} | {cells[2]:.3f} ± {cells[3]:.3f} |")
    for title, own in (("teaching half", scale), ("all", whole)):
        print(f"\nfloor, {title}: {100 * own.floor:.2f} ± {100 * own.floor_error:.2f} % of the flux")
    print("\n| pulls | stars | pairs | quoted | with the factor | with factor and floor |")
    print("| --- | --- | --- | --- | --- | --- |")
    bright = brightness(ask)
    middle = float(np.median(bright))
    print(row("teaching half", teach, scale))
    print(row("**held out**", ask, scale))
    print(row(f"held out, S/N below {middle:.0f}", ask.take(bright < middle), scale))
    print(row(f"held out, S/N above {middle:.0f}", ask.take(bright >= middle), scale))
    for low, high in ((3700, 4500), (4500, 5500), (5500, 6200), (6200, 7000), (7000, 8000), (8000, 9100)):
        print(row(f"held out, {low}–{high} Å", part(ask, low, high), scale))
    values = ", ".join(f"{value:.2f}" for value in correlation(ask, scale))
    print(f"\ncorrelation of pulls at lags {LAGS}, held out: {values}")
    print(
        f"velocity differences, 68 %: {np.quantile([abs(p.velocity) for p in repeats.pairs], 0.68):.1f} km/s"
    )


if __name__ == "__main__":
    main()
