"""What is left between theory and nature: exactly, spectrum by spectrum at the same labels, and as a training sees it.

python experiments/10_line_overlay/left.py nature.h5 theory.h5 before/nature rebuilt.h5 after/nature
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.read import read_shard

Floats = NDArray[np.float64]


def difference(nature: Spectra, theory: Spectra) -> Floats:
    """Nature minus theory of all spectra that both have, shape (N, L)."""
    place = {str(name): row for row, name in enumerate(theory.id)}
    rows = [(row, place[str(name)]) for row, name in enumerate(nature.id) if str(name) in place]
    ours, theirs = np.array(rows).T
    for name, column in nature.labels.items():
        np.testing.assert_allclose(column[ours], theory.labels[name][theirs], atol=1e-5)
    return np.asarray(nature.flux[ours] - theory.flux[theirs], float)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nature", type=Path)
    parser.add_argument(
        "pairs", type=Path, nargs="+", help="a grid and the folder of its scored survey, in turn"
    )
    args = parser.parse_args()
    nature = read_shard(args.nature)
    print(
        "| theory | rms (%) | rms of the mean (%) | excess χ² per pixel | Teff bias | log g bias | [Fe/H] bias |"
    )
    print("|" + " --- |" * 7)
    for grid, survey in zip(args.pairs[::2], args.pairs[1::2], strict=True):
        away = difference(nature, read_shard(grid))
        with np.load(survey / "arrays.npz") as arrays:
            excess = arrays["theory_excess"]
        scores = json.loads((survey / "scores.json").read_text())["methods"]["theory"]
        biases = [scores[f"{name}_bias"] for name in ("teff", "logg", "fe_h")]
        cells = [f"{each['value']:+.3g} ± {each['error']:.2g}" for each in biases]
        rms, mean = np.sqrt((away**2).mean()), np.sqrt((away.mean(0) ** 2).mean())
        print(
            f"| {grid.name} | {100 * rms:.3f} | {100 * mean:.3f} | {np.nanmean(excess):.2f} | {' | '.join(cells)} |"
        )


if __name__ == "__main__":
    main()
