"""Why Gauss–Newton encoding from a random start stays at principal components: measures what differs between starts."""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "02_decoders"))

import torch
from networks import TableTrunk, TanhBranch
from torch import Tensor, nn
from training import BATCH, TRAINING_STEPS, Data, Separable, Sizes, components, error, load

from synth2obs.io.embedded import resolve
from synth2obs.models.decoder.encode import QUIET, encode_reduced

SMALL = 25.0
"""How many times smaller the latents of one start are."""


def from_singular_vectors(data: Data, sizes: Sizes) -> Separable:
    """Trunk from the SVD; latents of the training spectra have unit variance."""
    trunk = TableTrunk(data.train.shape[1], sizes.rank, components(data, sizes.rank))
    return Separable(trunk, TanhBranch(sizes.latent, sizes.rank, sizes.hidden))


@torch.no_grad()
def small_latents(data: Data, sizes: Sizes) -> Separable:
    """The same function of wavelength, of latents 25 times smaller."""
    model = from_singular_vectors(data, sizes)
    model.trunk.fine.mul_(SMALL)
    return model


@torch.no_grad()
def random_rest(data: Data, sizes: Sizes) -> Separable:
    """Components for the latents to start with; the other columns of the trunk random, as large as they were."""
    model = from_singular_vectors(data, sizes)
    rest = model.trunk.fine[:, sizes.latent :]
    drawn = torch.randn_like(rest)
    rest.copy_(drawn / drawn.norm(dim=0) * rest.norm(dim=0))
    return model


def random_start(data: Data, sizes: Sizes) -> Separable:
    """Everything random."""
    model = Separable(
        TableTrunk(data.train.shape[1], sizes.rank), TanhBranch(sizes.latent, sizes.rank, sizes.hidden)
    )
    nn.init.normal_(model.branch.skip, std=sizes.latent**-0.5)
    return model


@torch.no_grad()
def random_white(data: Data, sizes: Sizes) -> Separable:
    """Everything random, but in units in which latents begin with unit variance."""
    model = random_start(data, sizes)
    model.branch.skip.mul_(encode(model, data.train - data.mean).std())
    return model


STARTS: dict[str, tuple[Callable[[Data, Sizes], Separable], float]] = {
    "SVD": (from_singular_vectors, 0.02),
    "SVD, latents 25 times smaller": (small_latents, 0.02),
    "SVD, columns beyond the latents random": (random_rest, 0.02),
    "SVD, trunk learns as fast as the branch": (from_singular_vectors, 1.0),
    "random": (random_start, 1.0),
    "random, latents white at the start": (random_white, 1.0),
}
"""Starts, and the learning rate of their trunk as a share of the branch's."""


def encode(model: Separable, residual: Tensor) -> Tensor:
    """Latents by two Gauss–Newton steps from complete, clean spectra."""
    basis = model.trunk.table() / QUIET
    normal = (basis.T @ basis).expand(len(residual), -1, -1)
    return encode_reduced(model.branch, normal, residual @ basis / QUIET, TRAINING_STEPS)


def train(model: Separable, data: Data, budget: float, rate: float, trunk_share: float) -> int:
    """Adam on clean spectra until the budget of processor seconds is spent; the number of steps."""
    groups = [{"params": list(part.parameters())} for part in (model.branch, model.trunk)]
    optimizer, random = torch.optim.Adam(groups), torch.Generator().manual_seed(1)
    residual, began, steps = data.train - data.mean, time.process_time(), 0
    while (spent := (time.process_time() - began) / budget) < 1.0:
        for group, share in zip(optimizer.param_groups, (1.0, trunk_share), strict=True):
            group["lr"] = share * rate * 0.5 * (1.0 + math.cos(math.pi * spent))
        clean = residual[torch.randint(len(residual), (BATCH,), generator=random)]
        loss = (model.decode(encode(model, clean)) - clean).square().mean() / 1e-4
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    return steps


@torch.no_grad()
def state(model: Separable, data: Data) -> dict[str, float]:
    """Size of latents and of what enters tanh, and how much of the spectra (%) is not linear in the latents."""
    u = encode(model, data.train - data.mean)
    entering = model.branch.inner(u)
    bent = (model.branch.outer(torch.tanh(entering)) @ model.trunk.table().T).double()
    design = torch.cat([u, torch.ones_like(u[:, :1])], dim=1).double()
    curved = bent - design @ torch.linalg.lstsq(design, bent).solution
    return {
        "latents": u.std().item(),
        "entering tanh": entering.std().item(),
        "curved (%)": 100.0 * curved.square().mean().sqrt().item(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds for each start")
    parser.add_argument("--start", type=float, default=4700.0, help="Å, vacuum")
    parser.add_argument("--stop", type=float, default=5300.0, help="Å, vacuum")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load(str(resolve("embedded:optical_grid")), asked.start, asked.stop)
    sizes = Sizes()
    span = components(data, sizes.latent, whiten=False)
    residual = data.held_out - data.mean
    bar = (residual - residual @ span @ span.T).square().mean().sqrt().item()
    print(
        "| start | steps | latents, before | after | entering tanh, after | curved (%), after | error / PCA's |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (make, share) in STARTS.items():
        torch.manual_seed(0)
        model = make(data, sizes)
        before = state(model, data)["latents"]
        steps = train(model, data, asked.budget, 2e-3, share)
        after = state(model, data)
        cells = [
            f"{before:.3f}",
            *(f"{value:.3f}" for value in after.values()),
            f"{error(model, data) / bar:.3f}",
        ]
        print(f"| {name} | {steps} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
