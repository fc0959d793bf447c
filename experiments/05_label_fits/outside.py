"""Stars that a bridge was not made for: are they flagged, or right?

`python experiments/05_label_fits/outside.py BRIDGE miles=embedded:miles stelib=embedded:stelib`
"""

import argparse

import numpy as np
from numpy.typing import NDArray

from synth2obs import load_bridge
from synth2obs.analysis.flags import FLAGS
from synth2obs.analysis.labels import Labels, labels_of
from synth2obs.core.labels import STELLAR
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bridge import Bridge

LITERATURE = (100.0, 0.2, 0.1)
"""Errors of catalogues of stellar libraries: Teff (K), log g, [Fe/H]."""

WIDTHS = 5.0
"""Errors within which a label is right."""

Rows = NDArray[np.bool_]


def kinds(bridge: Bridge, table: NDArray[np.float64]) -> dict[str, Rows]:
    """Stars (N, 3) by what the literature says of them; each is of the first kind that fits."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    low, high = bridge.labels.lower[columns], bridge.labels.upper[columns]
    teff, logg, fe_h = table.T
    ordinary = ((table >= low) & (table <= high)).all(1)
    found = {
        "hotter than the grid": teff > high[0],
        "cooler than the grid": teff < low[0],
        "giants of [Fe/H] < -2": (fe_h < -2.0) & (logg < 3.0),
        "dwarfs of [Fe/H] < -2": fe_h < -2.0,
        "otherwise outside": ~ordinary,
        "ordinary": ordinary,
    }
    left = np.isfinite(table).all(1)
    for name, rows in found.items():
        found[name] = rows & left
        left = left & ~rows
    return found


def right(found: Labels, table: NDArray[np.float64], floor: tuple[float, ...]) -> Rows:
    """Whether Teff, log g and [Fe/H] are all within `WIDTHS` errors, with ``floor`` added in quadrature."""
    offset = np.stack([found.values[name] for name in STELLAR], axis=1) - table
    error = np.hypot(np.stack([found.errors[name] for name in STELLAR], axis=1), floor)
    return (np.abs(offset) < WIDTHS * error).all(1)


def line(name: str, flags: NDArray[np.int64], exact: Rows, fair: Rows) -> str:
    """A row of the table."""
    clean = flags == 0
    shares = [f"{np.mean(value):.0%}" for value in (~clean, exact, fair, clean & ~fair)]
    bits = ", ".join(f"{bit}: {np.mean((flags & bit) > 0):.0%}" for bit in FLAGS if ((flags & bit) > 0).any())
    return f"| {name} | {len(flags)} | " + " | ".join(shares) + f" | {bits} |"


def chosen(spectra: Spectra, bridge: Bridge, most: int) -> tuple[Spectra, NDArray[np.float64]]:
    """Stars with literature labels: all that are not ordinary, and so many that are; and their labels."""
    table = np.stack([np.asarray(spectra.labels[name], float) for name in STELLAR], axis=1)
    groups = kinds(bridge, table)
    usual = np.random.default_rng(0).permutation(np.nonzero(groups.pop("ordinary"))[0])[:most]
    rows = np.concatenate([np.nonzero(np.any(list(groups.values()), axis=0))[0], usual])
    return spectra.take(rows), table[rows]


def main() -> None:
    """Fit, and print a table for every survey."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("shards", nargs="+", help="survey=shard")
    parser.add_argument("--ordinary", type=int, default=120, help="ordinary stars of each survey")
    parser.add_argument("--list", action="store_true", help="name the stars that are wrong without a flag")
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    titles = [
        "stars",
        "number",
        "flagged",
        "right",
        "right, fair",
        "wrong without a flag",
        "share with each bit",
    ]
    for pair in args.shards:
        survey, shard = pair.split("=", 1)
        rest = bridge.decoder.rest_wavelength
        spectra = cut_wavelengths(read_shard(resolve(shard)), float(rest[0]), float(rest[-1]))
        spectra, table = chosen(spectra, bridge, args.ordinary)
        found = labels_of(bridge, spectra, survey)
        exact, fair = right(found, table, (0.0, 0.0, 0.0)), right(found, table, LITERATURE)
        print(f"\n{survey}\n\n| " + " | ".join(titles) + " |\n|" + " --- |" * len(titles))
        for name, rows in kinds(bridge, table).items():
            if rows.any():
                print(line(name, found.flags[rows], exact[rows], fair[rows]), flush=True)
        for row in np.nonzero((found.flags == 0) & ~fair)[0] if args.list else ():
            fitted = ", ".join(f"{found.values[name][row]:.2f}" for name in STELLAR)
            chi2 = found.chi2[row] / found.pixels[row]
            print(f"{found.id[row]}: {table[row]} fitted as {fitted}, chi2 {chi2:.2f}")


if __name__ == "__main__":
    main()
