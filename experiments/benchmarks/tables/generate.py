"""Labels to native spectra: per second in batches, milliseconds for one, and the error beside it."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks import ours
from benchmarks.peers import SPENDER, quiet
from benchmarks.peers.networks import CYCLE_PIXELS, CycleStarNet, SirenGon
from benchmarks.peers.payne import PIXELS, Batched, random_payne
from benchmarks.report import Column, Table
from benchmarks.scenes import VELOCITY, make_scene
from benchmarks.tables import Setting, threads_limited
from benchmarks.tables.rates import best, columns, rates
from benchmarks.worlds import QUICK, SURVEY, Size, World, make_world

Array = NDArray[Any]

BATCHES, QUICK_BATCHES = (1, 64, 512), (1, 4)
STARS = 4
QUICK_PIXELS = 400
REBUILT = "re-implementation, random weights"
CLOSED_FORM, OWN = "closed form", "itself in float64"

NOTE = (
    "Spectra per second for batches of that size, and how long one takes; error of the pixels against the closed form "
    "of what the same weights say at velocities up to ±150 km/s, or, where random weights leave nothing to compare "
    "with, against the same network in float64; the last number is our best rate over this."
)


@dataclass(frozen=True)
class Contender:
    """One row.

    Args:
        method: Its name.
        run: Batch size → pixels.
        found, exact: Pixels of a few stars, and what they should be.
        against: Where ``exact`` is from.
        note: What it does.
        batched: Whether it takes more than one star at a time.
    """

    method: str
    run: Callable[[int], object]
    found: Array
    exact: Array
    against: str
    note: str
    batched: bool = True


def measure(setting: Setting) -> Table:
    """The table for all numbers of threads."""
    world = make_world(QUICK if setting.quick else Size())
    batches = QUICK_BATCHES if setting.quick else BATCHES
    rows: list[dict[str, Any]] = []
    for threads in setting.threads:
        with quiet(), threads_limited(threads):
            here = [
                _row(one, batches, setting, threads)
                for one in _contenders(world, setting.quick, max(batches))
            ]
        rows += [{**row, "threads": threads, "ours_over": best(here[0]) / best(row)} for row in here]
    if SPENDER.missing:
        rows.append({"method": "spender decoder", "note": SPENDER.missing})
    decoder = world.bridge.decoder
    facts = {"rest samples": len(decoder.mean), "trunk functions": decoder.rank, "latent": decoder.latent}
    return Table("Labels to native spectra", NOTE, _columns(batches), rows, facts)


def _columns(batches: tuple[int, ...]) -> list[Column]:
    return [
        Column("method", "method"),
        Column("pixels", "pixels", "number"),
        Column("threads", "threads", "number"),
        Column("latency_ms", "one, ms", "ratio"),
        *columns(batches),
        Column("median_error", "median error", "error"),
        Column("max_error", "max", "error"),
        Column("against", "against"),
        Column("ours_over", "ours ×", "ratio"),
        Column("note", "what"),
    ]


def _row(contender: Contender, batches: tuple[int, ...], setting: Setting, threads: int) -> dict[str, Any]:
    difference = np.abs(np.asarray(contender.found, dtype=np.float64) - contender.exact)
    row: dict[str, Any] = {
        "method": contender.method,
        "pixels": contender.exact.shape[1],
        "median_error": float(np.median(difference)),
        "max_error": float(difference.max()),
        "against": contender.against,
        "note": contender.note,
    }
    found = rates(
        lambda batch: lambda: contender.run(batch), batches if contender.batched else (1,), setting, threads
    )
    return {**row, **found, "latency_ms": 1e3 / found["rate_1"]}


def _contenders(world: World, quick: bool, most: int) -> Iterator[Contender]:
    """Ours first."""
    yield _ours(world, most)
    yield from _paynes(QUICK_PIXELS if quick else PIXELS, most)
    pixels = len(world.scene.wavelength)
    yield _network(
        "Cycle-StarNet generator", CycleStarNet(), CYCLE_PIXELS, most, "synthetic → observed, at rest"
    )
    yield _network("SIREN GON decoder", SirenGon(pixels, 32), 32, most, "latent → pixels, at rest")
    if not SPENDER.missing:
        yield _spender(world, most)


def _ours(world: World, most: int) -> Contender:
    labels = world.labels(max(most, STARS))
    rv = np.random.default_rng(0).uniform(-VELOCITY, VELOCITY, len(labels))

    def run(batch: int) -> Array:
        return ours.generate(world.bridge, labels[:batch], rv[:batch], SURVEY)

    exact = world.pixels(labels[:STARS], rv[:STARS])
    note = "31 labels → morph, gap, velocity, LSF(λ), pixels"
    return Contender("synth2obs", run, run(STARS), exact, CLOSED_FORM, note)


def _paynes(pixels: int, most: int) -> Iterator[Contender]:
    """As shipped (labels in float64, which turns every product into float64), in float32, and in batches."""
    net = random_payne(make_scene("apogee", 32_768, pixels=pixels))
    random = np.random.default_rng(0)
    labels = random.uniform(-0.5, 0.5, (max(most, STARS), net.weights[0].shape[1]))
    rv = random.uniform(-VELOCITY, VELOCITY, len(labels))
    exact = net.exact(labels[:STARS], rv[:STARS])
    inner, note = net.scene.inner, f"25 labels → pixels with LSF, then shift; {REBUILT}"
    for name, kind in (
        ("The Payne as shipped, float64 labels", np.float64),
        ("The Payne, float32 labels", np.float32),
    ):
        own = labels.astype(kind)
        found = np.stack([net.shifted(y, float(v)) for y, v in zip(own[:STARS], rv[:STARS], strict=True)])
        run = _one(net.shifted, own[0], float(rv[0]))
        yield Contender(name, run, found[:, inner], exact[:, inner], CLOSED_FORM, note, batched=False)
    batched, y, v = Batched(net), torch.from_numpy(labels), torch.from_numpy(rv)
    found, name = batched(y[:STARS], v[:STARS]).numpy(), "The Payne, batched in torch"
    yield Contender(
        name, lambda n: batched(y[:n], v[:n]), found[:, inner], exact[:, inner], CLOSED_FORM, note
    )


def _one(function: Callable[..., object], *arguments: object) -> Callable[[int], object]:
    return lambda batch: function(*arguments)


@torch.no_grad()
def _network(method: str, network: nn.Module, inputs: int, most: int, what: str) -> Contender:
    """A network of random weights on random inputs."""
    values = torch.randn(max(most, STARS), inputs, generator=torch.Generator().manual_seed(0))
    exact = deepcopy(network).double()(values[:STARS].double()).numpy()
    run = torch.no_grad()(lambda batch: network(values[:batch]))
    return Contender(method, run, run(STARS).numpy(), exact, OWN, f"{what}; {REBUILT}")


@torch.no_grad()
def _spender(world: World, most: int) -> Contender:
    """spender's decoder at its default size, with redshift and line spread."""
    from spender import Instrument, SpectrumDecoder

    from benchmarks.peers.resamplers import stretches
    from benchmarks.peers.spender_transform import kernel

    native = torch.from_numpy(world.scene.wavelength)
    margin = 1.0 + 2.0 * VELOCITY / 3e5
    rest = torch.linspace(float(native[0]) / margin, float(native[-1]) * margin, len(native))
    instrument = Instrument(native.float(), lsf=kernel(stretches(world.scene)[0]).float())
    decoder = SpectrumDecoder(rest, n_latent=10)
    latent, redshift = torch.randn(max(most, STARS), 10), 1e-4 * torch.randn(max(most, STARS))

    def see(network: nn.Module, camera: nn.Module, dtype: torch.dtype, batch: int) -> Tensor:
        seen: Tensor = network(latent[:batch].to(dtype), camera, redshift[:batch].to(dtype))
        return seen

    exact = see(deepcopy(decoder).double(), deepcopy(instrument).double(), torch.float64, STARS)
    run = torch.no_grad()(lambda batch: see(decoder, instrument, torch.float32, batch))
    note = "10 latents → rest pixels, redshift, LSF; random weights"
    return Contender("spender decoder", run, run(STARS).numpy(), exact.numpy(), OWN, note)
