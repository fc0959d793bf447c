"""How much labels depend on what else is in their batch, and on the number of threads.

`python experiments/05_label_fits/partners.py BRIDGE miles=embedded:miles stelib=embedded:stelib`
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs import load_bridge
from synth2obs.analysis.flags import UNUSABLE
from synth2obs.analysis.labels import Labels, labels_of
from synth2obs.analysis.observed import as_spectra


def apart(one: Labels, other: Labels) -> NDArray[np.float64]:
    """Largest difference of any label in its errors, shape (N,)."""
    return np.asarray(
        np.max([np.abs(one.values[n] - other.values[n]) / one.errors[n] for n in one.values], axis=0)
    )


def told(what: str, change: NDArray[np.float64], fine: NDArray[np.bool_]) -> str:
    """A row of the table."""
    parts = [f"{np.median(change[fine]):.1g}", f"{change[fine].max():.1g}"]
    parts.append(f"{change[~fine].max():.1g}" if (~fine).any() else "")
    return f"| {what} | " + " | ".join(parts) + " |"


def main() -> None:
    """Fit every star in a batch, in half a batch, alone and with two threads, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("surveys", nargs="+", metavar="SURVEY=SPECTRA")
    parser.add_argument("--stars", type=int, default=64)
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    print(
        "| labels in units of their errors | median | largest | largest, unusable stars |\n|" + " --- |" * 4
    )
    for item in args.surveys:
        survey, path = item.split("=", 1)
        whole = as_spectra(bridge, path, survey)
        rows = np.random.default_rng(0).choice(len(whole), min(args.stars, len(whole)), replace=False)
        spectra, rows = whole.take(rows), np.arange(len(rows))
        torch.set_num_threads(1)
        found = labels_of(bridge, spectra, survey)
        fine = found.flags & UNUSABLE == 0
        half = rows[: len(rows) // 2]
        some = labels_of(bridge, spectra.take(half), survey)
        alone = [labels_of(bridge, spectra.take(row[None]), survey) for row in rows[::4]]
        torch.set_num_threads(2)
        threads = labels_of(bridge, spectra, survey)
        first = {row: found_of(found, row) for row in rows}
        print(told(f"{survey}: two threads", apart(found, threads), fine))
        change = np.array([apart(first[row], found_of(some, row))[0] for row in half])
        print(told(f"{survey}: half a batch", change, fine[half]))
        change = np.array([apart(first[row], one)[0] for row, one in zip(rows[::4], alone, strict=True)])
        print(told(f"{survey}: alone", change, fine[::4]), flush=True)


def found_of(found: Labels, row: int) -> Labels:
    """One star's labels."""
    one = slice(row, row + 1)
    values, errors, gains = (
        {n: v[one] for n, v in part.items()} for part in (found.values, found.errors, found.gains)
    )
    rest = (getattr(found, name)[one] for name in ("rv", "rv_error", "chi2", "pixels", "flags"))
    return Labels(found.id[one], values, errors, gains, *rest)


if __name__ == "__main__":
    main()
