"""Spectra to latents: per second, and how well the latent describes the spectrum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import ours
from benchmarks.observed import Observed, prepare
from benchmarks.peers import SPENDER, quiet
from benchmarks.peers.networks import SirenGon
from benchmarks.report import Column, Table
from benchmarks.tables import Setting, threads_limited
from benchmarks.tables.rates import best, columns, rates
from benchmarks.worlds import QUICK, SURVEY, Size, World, make_world

Array = NDArray[Any]

BATCHES, QUICK_BATCHES = (1, 8, 64), (1, 4)
LATENT = 32
REBUILT = "re-implementation, random weights"

NOTE = (
    "Spectra per second for batches of that size; χ² per pixel of what the latent decodes to. Stars at S/N 100 with "
    "velocities of up to ±10 km/s that are not given, and a continuum that is not flat: we find both, the others "
    "neither; their weights are random, so their χ² only says that nothing was learned. The last number is our best "
    "rate over this."
)
COLUMNS = (Column("method", "method"), Column("threads", "threads", "number"))
LAST = (
    Column("chi2_median", "χ²/px median", "number"),
    Column("chi2_max", "max", "number"),
    Column("ours_over", "ours ×", "ratio"),
    Column("note", "what"),
)


@dataclass(frozen=True)
class Contender:
    """One row.

    Args:
        method: Its name.
        run: Encodes a batch of that size.
        chi2: Per pixel, of some stars.
        note: What it does.
        most: Largest batch that memory allows.
    """

    method: str
    run: Callable[[int], object]
    chi2: Array
    note: str
    most: int = 64


def measure(setting: Setting) -> Table:
    """The table for all numbers of threads."""
    world = make_world(QUICK if setting.quick else Size())
    batches = QUICK_BATCHES if setting.quick else BATCHES
    stars = prepare(world, max(batches))
    rows: list[dict[str, Any]] = []
    for threads in setting.threads:
        with quiet(), threads_limited(threads):
            here = [_row(one, batches, setting, threads) for one in _contenders(world, stars)]
        rows += [{**row, "threads": threads, "ours_over": best(here[0]) / best(row)} for row in here]
    if SPENDER.missing:
        rows.append({"method": "spender encoder", "note": SPENDER.missing})
    facts = {"pixels": len(world.scene.wavelength), "latent": LATENT, "stars for χ²": len(stars.rv)}
    return Table("Spectra to latents", NOTE, [*COLUMNS, *columns(batches), *LAST], rows, facts)


def _row(contender: Contender, batches: tuple[int, ...], setting: Setting, threads: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": contender.method,
        "chi2_median": float(np.median(contender.chi2)),
        "chi2_max": float(contender.chi2.max()),
        "note": contender.note,
    }

    def refuse(batch: int) -> str:
        return "too large" if batch > contender.most else ""

    return row | rates(lambda batch: lambda: contender.run(batch), batches, setting, threads, refuse=refuse)


def _contenders(world: World, stars: Observed) -> Iterator[Contender]:
    """Ours first."""
    seen = ours.observation(world.bridge, SURVEY, stars.spectra)
    few = [seen.take(torch.arange(batch)) for batch in range(len(seen) + 1)]
    yield Contender(
        "synth2obs",
        lambda batch: ours.encode(world.bridge, few[batch]),
        ours.encode(world.bridge, seen).chi2_per_pixel,
        "latent, covariance, velocity, continuum",
    )
    flux = torch.as_tensor(stars.flux)
    level = flux.median(1, keepdim=True).values
    ivar = torch.as_tensor(stars.ivar) * level.square()
    yield from _siren(flux / level, ivar)
    if not SPENDER.missing:
        yield _spender(world, flux / level, ivar)


def _siren(flux: Tensor, ivar: Tensor) -> Iterator[Contender]:
    """The gradient step, and the training step that goes through it."""
    torch.manual_seed(0)
    network = SirenGon(flux.shape[1], LATENT)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    few = slice(0, 4)
    chi2 = _chi2(network(network.encode(flux[few])), flux[few], ivar[few])
    note = f"one gradient step from the origin, latent only; {REBUILT}"
    yield Contender("SIREN GON, encode", lambda batch: network.encode(flux[:batch]), chi2, note, most=8)
    note = f"the same and its second-order derivatives, as in training; {REBUILT}"
    yield Contender(
        "SIREN GON, training step",
        lambda batch: network.train_step(flux[:batch], optimizer),
        chi2,
        note,
        most=8,
    )


@torch.no_grad()
def _spender(world: World, flux: Tensor, ivar: Tensor) -> Contender:
    """The convolutional encoder, and the decoder of default size for χ²."""
    from spender import Instrument, SpectrumDecoder, SpectrumEncoder

    torch.manual_seed(0)
    native = torch.from_numpy(world.scene.wavelength).float()
    encoder = SpectrumEncoder(Instrument(native), LATENT).eval()
    decoder = SpectrumDecoder(native, LATENT).eval()
    few = slice(0, 4)
    chi2 = _chi2(decoder.decode(encoder(flux[few])), flux[few], ivar[few])
    run = torch.no_grad()(lambda batch: encoder(flux[:batch]))
    return Contender("spender encoder", run, chi2, "convolutional network, latent only; random weights")


def _chi2(model: Tensor, flux: Tensor, ivar: Tensor) -> Array:
    found: Array = ((flux - model).square() * ivar).mean(1).detach().numpy()
    return found
