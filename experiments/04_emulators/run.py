"""Errors of emulators at equal processor time: `python experiments/04_emulators/run.py`."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from data import Data, gradient_error, load
from networks import Attention, Payne, TrunkBranch, taught
from processes import by_blocks, on_components, on_latents

EMULATORS: dict[str, Callable] = {
    "kernel ridge, latents": on_latents("kernel"),
    "quadratic, latents": on_latents("quadratic"),
    "process, components": on_components("process"),
    "process, blocks of 200": by_blocks,
    "process, latents (the library's)": on_latents("process"),
    "MLP as in The Payne": taught(Payne),
    "trunk and branch": taught(TrunkBranch),
    "attention over labels": taught(Attention),
}


COLUMNS = ("emulator", "spectra", "gradients", "rms", "median", "typical star", "error of gradients", "CPU s")


def measured(name: str, data: Data, budget: float, full: Data) -> dict[str, float]:
    """Errors on held-out spectra in % of the continuum, on gradient spectra relative to them, and processor time."""
    start = time.process_time()
    predict = EMULATORS[name](data, budget)
    spent = time.process_time() - start
    error = predict(full.x[full.test]) - full.flux[full.test]
    found = {
        "spectra": len(data.train),
        "rms": 100 * error.square().mean().sqrt().item(),
        "median": 100 * error.abs().median().item(),
        "typical star": 100 * error.square().mean(1).sqrt().median().item(),
        "seconds": spent,
    }
    if full.pairs is not None:
        unseen = (
            _unseen(full) if data.pairs is not None else torch.ones(len(full.pairs.point), dtype=torch.bool)
        )
        if bool(unseen.any()):
            found["gradients"] = 100 * gradient_error(predict, full.pairs.take(unseen.nonzero()[:, 0]))
    return found


def _unseen(data: Data) -> torch.Tensor:
    """Gradient spectra of every third point: kept from training."""
    points = data.pairs.point.unique()
    return torch.isin(data.pairs.point, points[2::3])


def with_pairs(data: Data) -> Data:
    """Two thirds of the points with gradient spectra to learn from."""
    return replace(data, pairs=data.pairs.take((~_unseen(data)).nonzero()[:, 0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", default="embedded:optical_grid", help="shard of a grid")
    parser.add_argument("--start", type=float, default=4200.0)
    parser.add_argument("--stop", type=float, default=7350.0)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds of what descends")
    parser.add_argument("--spectra", type=int, action="append", help="numbers to train on; all by default")
    parser.add_argument("--only", action="append", help="emulators whose name contains this")
    parser.add_argument(
        "--gradients", action="store_true", help="also with gradient spectra, where the grid has some"
    )
    parser.add_argument("--out", help="JSON file of the results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    full, table = load(options.grid, options.start, options.stop), []
    chosen = [name for name in EMULATORS if not options.only or any(part in name for part in options.only)]
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|")
    for name in chosen:
        for count in options.spectra or [len(full.train)]:
            for taught_with in [False, True] if options.gradients and full.pairs is not None else [False]:
                data = with_pairs(full) if taught_with else full.without_pairs()
                row = measured(name, data.first(count), options.budget, full)
                table.append({"emulator": name, "with gradients": taught_with, **row})
                _show(table[-1])
    if options.out:
        with open(options.out, "w") as file:
            json.dump(table, file, indent=1)


def _show(row: dict) -> None:
    cells = [row["emulator"], row["spectra"], "yes" if row["with gradients"] else "no"]
    cells += [f"{row[key]:.3f}" for key in ("rms", "median", "typical star")]
    cells += [f"{row['gradients']:.1f}" if "gradients" in row else "–", f"{row['seconds']:.0f}"]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
