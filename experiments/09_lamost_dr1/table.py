"""Tables of what folds.py measured.

    python experiments/09_lamost_dr1/table.py FILE.npz [--snr 20]

Labels are fitted minus LAMOST's own: median and robust scatter, each with a bootstrap error. −ln likelihood (labels
free) and the last columns are differences from theory with pixel weights, with errors over the same draws of stars.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import MAD_TO_SIGMA

sys.path.append(str(Path(__file__).parents[1] / "07_proof"))
from real import DIGITS, DRAWS, robust, spread  # noqa: E402 - found once its folder is on the path

WEIGHTED = "theory_weighted"
HEADS = (
    "anchored rms (%)",
    "χ² a pixel",
    "−ln L a pixel",
    "Teff (K)",
    "log g",
    "[Fe/H]",
    "more scatter: Teff (K)",
    "log g",
    "[Fe/H]",
)


def wide(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust scatter along the last axis."""
    middle = np.median(values, axis=-1, keepdims=True)
    return MAD_TO_SIGMA * np.median(np.abs(values - middle), axis=-1)


def excess(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float]:
    """How much more one scatters than the other, and the error of that by bootstrap over the same stars."""
    random = np.random.default_rng(0)
    draws = random.integers(0, len(one), (DRAWS, len(one)))
    return float(wide(one) - wide(other)), float((wide(one[draws]) - wide(other[draws])).std())


def table(found: dict[str, NDArray], rows: NDArray[np.bool_], title: str) -> None:
    """Print one selection of stars."""
    print(f"\n{title}, {int(rows.sum())} stars\n")
    print(f"| | {' | '.join(HEADS)} |\n|{' --- |' * (len(HEADS) + 1)}")
    offset = {
        name.partition("/")[0]: (found[name] - found["catalogue"])[rows]
        for name in found
        if name.endswith("/labels")
    }
    for name, values in offset.items():
        cells = [name.replace("_", " ")]
        for column, unit in (("rms", 100.0), ("chi2", 1.0)):
            middle, error = spread(unit * found[f"{name}/{column}"][rows].astype(float))
            cells.append(f"{middle:.2f} ± {error:.2f}")
        less = found[f"{name}/surprise"] - found[f"{WEIGHTED}/surprise"]
        middle, error = spread(less[rows].astype(float))
        cells.append(f"{middle:+.3f} ± {error:.3f}")
        for column, digits in zip(values.T, DIGITS, strict=True):
            (bias, error), (scatter, unsure) = spread(column), robust(column)
            cells.append(
                f"{bias:+.{digits}f} ± {error:.{digits}f}; {scatter:.{digits}f} ± {unsure:.{digits}f}"
            )
        for column, other, digits in zip(values.T, offset[WEIGHTED].T, DIGITS, strict=True):
            more, error = excess(column, other)
            cells.append(f"{more:+.{digits}f} ± {error:.{digits}f}")
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    """All stars, and the bright ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file")
    parser.add_argument("--snr", type=float, default=20.0)
    args = parser.parse_args()
    with np.load(args.file) as file:
        found = dict(file)
    table(found, np.ones(len(found["id"]), bool), "all")
    table(found, found["snr_g"] > args.snr, f"S/N in g above {args.snr:g}")


if __name__ == "__main__":
    main()
