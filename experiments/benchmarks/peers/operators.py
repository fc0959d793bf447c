"""Every way to take rest-frame spectra to pixels that is compared, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.peers import (
    PYASTRONOMY,
    RVSPECFIT,
    SPECTRES,
    SPECUTILS,
    SPENDER,
    Needs,
    resamplers,
    spender_transform,
    textbook,
    velocity_spline,
)
from benchmarks.scenes import Scene


class Operator(Protocol):
    """Rest-frame flux (B, L), velocities (B,) in km/s and a factor on σ to native pixels (B, P)."""

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor, /) -> Tensor:
        """Native pixels."""
        ...


@dataclass(frozen=True)
class Peer:
    """One row of the table.

    Args:
        build: Scene and device → operator; what can be prepared without knowing flux and velocity is.
        note: What it does, in the table.
        needs: Package that it is part of, None for what is written here.
        torch: Works on batches, in any precision, with several threads; else star by star in float64.
        copies: Arrays of the size of the input that one call needs, to keep within the memory.
    """

    build: Callable[[Scene, torch.device], Operator]
    note: str
    needs: Needs | None = None
    torch: bool = False
    copies: int = 1

    @property
    def missing(self) -> str:
        """What to do about its package if that is not installed, else an empty string."""
        return self.needs.missing if self.needs else ""


OPERATORS: dict[str, Peer] = {
    "synth2obs": Peer(ours.operator, "LSF(λ), pixel integral", torch=True, copies=2),
    "conv1d + gather": Peer(
        textbook.Convolution, "one kernel per detector, pixel in kernel", torch=True, copies=4
    ),
    "FFT + gather": Peer(textbook.Fourier, "one kernel per detector, pixel in kernel", torch=True, copies=6),
    "spender transform": Peer(
        spender_transform.Transform, "samples first, then one kernel", SPENDER, torch=True, copies=8
    ),
    "rvspecfit rebin + spline": Peer(velocity_spline.Rebinned, "LSF(λ) at rest, then C spline", RVSPECFIT),
    "rvspecfit spline + matrix": Peer(velocity_spline.Resolution, "samples first, then LSF(λ)", RVSPECFIT),
    "specutils linear": Peer(resamplers.specutils_linear, "one kernel per detector, samples", SPECUTILS),
    "specutils flux-conserving": Peer(
        resamplers.specutils_conserving, "one kernel per detector, pixel integral", SPECUTILS
    ),
    "spectres": Peer(resamplers.spectres_gaussian, "one kernel per detector, pixel integral", SPECTRES),
    "PyAstronomy broaden": Peer(resamplers.pyastronomy, "one kernel per detector, samples", PYASTRONOMY),
}
