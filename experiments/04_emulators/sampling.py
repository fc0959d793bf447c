"""Does choosing spectra help? Those of a grid in their order, or where the process is least certain.

`python experiments/04_emulators/sampling.py GRID`; components of the spectra that are known so far, no gradients.
"""

import argparse
from dataclasses import replace

import torch
from data import Data, load
from processes import attached
from torch import Tensor

from synth2obs.models.emulator import EMULATORS
from synth2obs.models.emulator.choice import least_certain

COUNT = 60
"""Components."""


def fitted(data: Data, rows: Tensor):
    """Process on components of some spectra, and how to predict flux."""
    flux = data.flux[rows]
    mean = flux.mean(0)
    vectors = torch.linalg.svd(flux - mean, full_matrices=False)[2][: min(COUNT, len(rows) - 1)]
    emulator = attached(EMULATORS["process"](data.x.shape[1], len(vectors), len(rows)), data)
    emulator.fit(data.x[rows], (flux - mean) @ vectors.T, torch.ones(len(vectors)).double())
    return emulator, lambda x: mean + emulator(x) @ vectors


def chosen(data: Data, rows: Tensor, count: int) -> Tensor:
    """Rows and as many of the others as make ``count``, each where the process is least certain."""
    emulator, _ = fitted(data, rows)
    pool = data.train[~torch.isin(data.train, rows)]
    more = least_certain(
        emulator.open_covariance(data.x[pool]), float(emulator.kernel.variance), count - len(rows)
    )
    return torch.cat([rows, pool[more]])


def show(name: str, data: Data, rows: Tensor) -> None:
    error = fitted(data, rows)[1](data.x[data.test]) - data.flux[data.test]
    own = error.square().mean(1).sqrt()
    values = error.square().mean().sqrt(), own.median(), own.quantile(0.9), error.abs().median()
    print(
        f"| {name} | {len(rows)} | " + " | ".join(f"{100 * float(value):.3f}" for value in values) + " |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", help="shard of a grid")
    parser.add_argument("--spectra", type=int, nargs="+", default=[50, 100, 150, 200])
    parser.add_argument("--seeds", type=int, default=2, help="splits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for seed in range(options.seeds):
        data = load(options.grid, 4200.0, 7350.0, seed)
        data = replace(data, train=data.train[~torch.isin(data.train, data.pairs.point.unique())], pairs=None)
        first, *more = options.spectra
        known = data.train[:first]
        show("first", data, known)
        for count in more:
            known = chosen(data, known, count)
            show("in order", data, data.train[:count])
            show("least certain", data, known)


if __name__ == "__main__":
    main()
