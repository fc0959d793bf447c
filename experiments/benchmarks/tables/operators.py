"""Velocity, line spread and pixels: spectra per second and error of every way, against the closed form."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.peers import quiet
from benchmarks.peers.operators import OPERATORS, Operator, Peer
from benchmarks.report import Column, Table
from benchmarks.scenes import Scene, make_scene
from benchmarks.tables import DTYPES, Setting, threads_limited
from benchmarks.tables.gradients import differentiable
from benchmarks.tables.rates import best, columns, rates
from benchmarks.truth import Stars, check_truth, random_stars

OURS = "synth2obs"
BATCHES, QUICK_BATCHES = (1, 64, 512), (1, 4)
SAMPLES, QUICK_SAMPLES = (300_000, 65_536), (4096,)
STARS, QUICK_STARS = 6, 3
VARIATIONS = {"": 0.15, "constant_": 0.0}
"""Of the line spread along a detector, by prefix of its errors; the first is also timed."""

NOTE = (
    "Spectra per second for batches of that size; errors in units of the continuum, over pixels of stars at up to "
    "±150 km/s, with a line spread that varies by ±15 % along each detector, and with a constant one; ∂: gradients "
    "that automatic differentiation gives and finite differences confirm; ours ×: our best rate over this, in the same "
    "precision and in single precision."
)

GROUPS = (Column("survey", "survey"), Column("samples", "rest samples", "rate"))

Row = dict[str, Any]


def measure(setting: Setting) -> Table:
    """The table over all surveys, rest grids, precisions and numbers of threads."""
    surveys, sizes = (("tiny",), QUICK_SAMPLES) if setting.quick else (setting.surveys, SAMPLES)
    gradients = {name: _gradients(peer) for name, peer in OPERATORS.items()}
    rows: list[Row] = []
    for survey, samples, (name, peer) in product(surveys, sizes, OPERATORS.items()):
        base = {"survey": survey, "samples": samples, "method": name, "gradients": gradients[name]}
        rows += [{**base, "note": peer.note, **row} for row in _rows(survey, samples, peer, setting)]
    _compare(rows)
    checked = make_scene(surveys[0], sizes[0])
    facts = {
        "closed form against Simpson's rule": check_truth(checked),
        "pixel mean and Gaussian in λ instead of ln λ": check_truth(checked, in_angstrom=True),
    }
    return Table("Velocity, line spread and pixels", NOTE, _columns(setting.quick), rows, facts, GROUPS)


def _columns(quick: bool) -> list[Column]:
    return [
        Column("dtype", "precision"),
        Column("threads", "threads", "number"),
        Column("method", "method"),
        *columns(QUICK_BATCHES if quick else BATCHES),
        Column("median_error", "median error", "error"),
        Column("max_error", "max", "error"),
        Column("constant_median_error", "constant LSF", "error"),
        Column("constant_max_error", "max", "error"),
        Column("gradients", "∂"),
        Column("ours_over", "ours ×", "ratio"),
        Column("ours_single_over", "float32 ×", "ratio"),
        Column("note", "how"),
    ]


def _gradients(peer: Peer) -> str:
    """What a peer can be differentiated by; nothing if it is not installed."""
    if peer.missing:
        return ""
    with quiet(), threads_limited(1):
        return differentiable(lambda scene: peer.build(scene, torch.device("cpu")))


@dataclass(frozen=True)
class Case:
    """An operator built for a scene, and stars of that scene."""

    operator: Operator
    scene: Scene
    stars: Stars

    def flux(self, dtype: str, device: torch.device) -> Tensor:
        """Rest-frame flux of the stars, (N, L)."""
        return torch.from_numpy(self.stars.flux).to(device, DTYPES[dtype])

    @torch.no_grad()
    def errors(self, flux: Tensor) -> np.ndarray:
        """Differences from the closed form over the pixels that count, (N, P)."""
        rv = torch.from_numpy(self.stars.rv).to(flux.device)
        seen = self.operator(flux, rv, flux.new_ones(())).double().cpu().numpy()
        return np.abs(seen - self.stars.pixels)[:, self.scene.inner]


def _rows(survey: str, samples: int, peer: Peer, setting: Setting) -> Iterator[Row]:
    """Rows of one peer on one scene, or one that says why there are none: a broken package spoils its own row alone."""
    if peer.missing:
        yield {"note": peer.missing}
        return
    try:
        yield from _measured(survey, samples, peer, setting)
    except Exception as error:
        if peer.needs is None:
            raise
        yield {"note": f"failed: {type(error).__name__}: {error}"}


def _measured(survey: str, samples: int, peer: Peer, setting: Setting) -> Iterator[Row]:
    """A row for every precision and number of threads."""
    device = torch.device(setting.device if peer.torch else "cpu")
    with quiet(), threads_limited(setting.threads[0]):
        cases = {
            prefix: _case(make_scene(survey, samples, variation=variation), peer, device, setting.quick)
            for prefix, variation in VARIATIONS.items()
        }
    for dtype in setting.dtypes if peer.torch else ("float64",):
        with quiet(), threads_limited(setting.threads[0]):
            errors = _errors(cases, dtype, device)
        for threads in setting.threads if peer.torch else setting.threads[:1]:
            with quiet(), threads_limited(threads), torch.no_grad():
                found = _rates(cases[""], cases[""].flux(dtype, device), peer, threads, setting)
            yield {"dtype": dtype, "threads": threads, "device": device.type, **errors, **found}


def _case(scene: Scene, peer: Peer, device: torch.device, quick: bool) -> Case:
    return Case(peer.build(scene, device), scene, random_stars(scene, QUICK_STARS if quick else STARS))


def _errors(cases: dict[str, Case], dtype: str, device: torch.device) -> Row:
    found = {}
    for prefix, case in cases.items():
        difference = case.errors(case.flux(dtype, device))
        found[f"{prefix}median_error"] = float(np.median(difference))
        found[f"{prefix}max_error"] = float(difference.max())
    return found


def _rates(case: Case, flux: Tensor, peer: Peer, threads: int, setting: Setting) -> Row:
    def prepare(batch: int) -> Callable[[], object]:
        """Enough stars, each with memory and a velocity of its own."""
        many = flux.repeat(math.ceil(batch / len(flux)), 1)[:batch].contiguous()
        rv = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, batch) * np.abs(case.stars.rv).max())
        arguments = many, rv.to(flux.device), many.new_ones(())
        return lambda: case.operator(*arguments)

    def refuse(batch: int) -> str:
        needed = peer.copies * batch * flux.shape[1] * flux.element_size() / 2**30
        return f"needs {needed:.0f} GiB" if needed > setting.memory else ""

    batches = (QUICK_BATCHES if setting.quick else BATCHES) if peer.torch else (1,)
    return rates(prepare, batches, setting, threads, refuse=refuse, device=flux.device.type)


def _compare(rows: list[Row]) -> None:
    """Add how many times our best rate is theirs, at the same survey, grid and threads, in both precisions."""
    ours = {_key(row, row["dtype"]): best(row) for row in rows if row["method"] == OURS}
    for row in (row for row in rows if best(row)):
        for name, dtype in (("ours_over", row["dtype"]), ("ours_single_over", "float32")):
            if reference := ours.get(_key(row, dtype)):
                row[name] = reference / best(row)


def _key(row: Row, dtype: str) -> tuple[object, ...]:
    return row["survey"], row["samples"], row["threads"], dtype
