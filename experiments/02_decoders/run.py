"""Errors of decoders and encodings at equal processor time: `python experiments/02_decoders/run.py`."""

import argparse
import json
import time
from collections.abc import Callable

import torch
from networks import TRUNKS, TableTrunk, TanhBranch
from torch import nn
from training import (
    Amortised,
    Coder,
    Data,
    Separable,
    Sizes,
    components,
    descend,
    error,
    latent_variables,
    load,
)

from synth2obs.io.embedded import resolve
from synth2obs.training.config import TheoryConfig

CASES = {
    "complete": {},
    "30 % missing": {"missing": 0.3},
    "70 % missing": {"missing": 0.7},
    "S/N 200": {"snr": 200.0},
    "S/N 50": {"snr": 50.0},
    "S/N 20": {"snr": 20.0},
}
RATES = {"SIREN": 3e-4, "Fourier": 3e-3, "random table": 3e-3}
"""Learning rates of the trunks that start at random; all rates are the best of 3e-4, 1e-3 and 3e-3 after 25 s."""

Variant = Callable[[Data, Sizes, float], tuple[Coder, int]]
"""Data, sizes, processor seconds → what codes spectra, and the steps that it took."""


def principal_components(data: Data, sizes: Sizes, budget: float) -> tuple[Coder, int]:
    """As many components as latents, found by weighted least squares with the prior."""
    trunk = TableTrunk(data.train.shape[1], sizes.latent, components(data, sizes.latent))
    return Separable(trunk, TanhBranch(sizes.latent, sizes.latent, 1)), 0


def from_singular_vectors(gradient: str) -> Variant:
    """Trunk from the SVD, a network as branch, one of the two steps from the origin."""

    def train(data: Data, sizes: Sizes, budget: float) -> tuple[Coder, int]:
        vectors = components(data, sizes.rank, whiten=gradient != "published")
        trunk = TableTrunk(data.train.shape[1], sizes.rank, vectors)
        model = Separable(trunk, TanhBranch(sizes.latent, sizes.rank, sizes.hidden), gradient)
        return model, descend(model, data, budget, 3e-3, 2e-5)

    return train


def from_random(name: str) -> Variant:
    """A trunk that starts at random, with Gauss–Newton encoding."""

    def train(data: Data, sizes: Sizes, budget: float) -> tuple[Coder, int]:
        trunk, rate = TRUNKS[name](data.train.shape[1], sizes.rank), RATES[name]
        branch = TanhBranch(sizes.latent, sizes.rank, sizes.hidden)
        nn.init.normal_(branch.skip, std=sizes.latent**-0.5)
        model = Separable(trunk, branch)
        return model, descend(model, data, budget, rate, rate)

    return train


def amortised(data: Data, sizes: Sizes, budget: float) -> tuple[Coder, int]:
    """Trunk from the SVD behind an encoder network."""
    trunk = TableTrunk(data.train.shape[1], sizes.rank, components(data, sizes.rank))
    model = Amortised(trunk, TanhBranch(sizes.latent, sizes.rank, sizes.hidden), data.train.shape[1])
    return model, descend(model, data, budget, 1e-3, 2e-5)


def ours(steps: int) -> Variant:
    """The library's decoder after some steps."""

    def train(data: Data, sizes: Sizes, budget: float) -> tuple[Coder, int]:
        decoder = latent_variables(data, sizes, steps)
        return Separable(decoder.trunk, decoder.branch), steps

    return train


VARIANTS: dict[str, Variant] = {
    "principal components": principal_components,
    "SVD trunk, published gradient step": from_singular_vectors("published"),
    "SVD trunk, Gauss–Newton": from_singular_vectors("gauss-newton"),
    "random table trunk, Gauss–Newton": from_random("random table"),
    "Fourier trunk, Gauss–Newton": from_random("Fourier"),
    "SIREN trunk, Gauss–Newton": from_random("SIREN"),
    "SVD trunk, convolutional encoder": amortised,
    "latent variable model, closed form": ours(0),
    "latent variable model (the library's)": ours(TheoryConfig().steps),
}


def measured(variant: Variant, data: Data, sizes: Sizes, budget: float) -> dict[str, float]:
    """Processor seconds, steps and errors in percent of one variant."""
    torch.manual_seed(0)
    began = time.process_time()
    coder, steps = variant(data, sizes, budget)
    seconds = time.process_time() - began
    return {"CPU s": seconds, "steps": steps} | {
        name: 100.0 * error(coder, data, **case) for name, case in CASES.items()
    }


def row(name: str, found: dict[str, float]) -> str:
    """One line of a Markdown table."""
    cells = [f"{found['CPU s']:.1f}", f"{found['steps']:.0f}", *(f"{found[case]:.3f}" for case in CASES)]
    return f"| {name} | {' | '.join(cells)} |"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grid", default="embedded:optical_grid", help="shard, or raw grid with --power")
    parser.add_argument("--start", type=float, default=4700.0, help="Å, vacuum")
    parser.add_argument("--stop", type=float, default=5300.0, help="Å, vacuum")
    parser.add_argument("--power", type=float, default=0.0, help="resolving power for a raw grid")
    parser.add_argument(
        "--budget", type=float, default=60.0, help="processor seconds for each variant that descends"
    )
    parser.add_argument("--spectra", type=int, default=0, help="train on that many spectra only")
    parser.add_argument("--latent", type=int, default=32)
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument(
        "--only", action="append", default=[], help="part of a variant's name; repeat for more"
    )
    parser.add_argument("--out", help="JSON with the numbers")
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    torch.set_num_threads(1)
    data = load(str(resolve(asked.grid)), asked.start, asked.stop, asked.power, asked.spectra)
    sizes = Sizes(latent=asked.latent, rank=asked.rank)
    print(
        f"{len(data.train)} spectra to train on, {len(data.held_out)} held out, {data.train.shape[1]} wavelengths, "
        f"latent {sizes.latent}, rank {sizes.rank}; rms error in % of the continuum\n"
    )
    print(f"| | CPU s | steps | {' | '.join(CASES)} |\n|{' --- |' * (3 + len(CASES))}")
    table: dict[str, dict[str, float]] = {}
    for name, variant in VARIANTS.items():
        if not asked.only or any(part in name for part in asked.only):
            table[name] = measured(variant, data, sizes, asked.budget)
            print(row(name, table[name]), flush=True)
    if asked.out:
        with open(asked.out, "w", encoding="utf-8") as file:
            json.dump({"settings": vars(asked), "table": table}, file, indent=1)


if __name__ == "__main__":
    main()
