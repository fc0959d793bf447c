"""spender's way from the rest frame to an instrument: linear interpolation at the pixels, then one kernel."""

import math

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from benchmarks.peers.resamplers import KERNEL, Stretch, stretches
from benchmarks.scenes import Scene
from synth2obs.core.constants import C_KMS


class Transform:
    """`SpectrumDecoder.transform` of every detector; its `LSF` has the Gaussian integrated over the pixel.

    The decoder's network, which this does not use, is of the least size.
    """

    def __init__(self, scene: Scene, device: torch.device) -> None:
        from spender import Instrument, SpectrumDecoder

        self.parts = stretches(scene)
        self.decoders, self.instruments = [], []
        for part in self.parts:
            native, rest = torch.from_numpy(np.exp(part.centre)), torch.from_numpy(np.exp(part.log_wave))
            self.instruments.append(Instrument(native, lsf=kernel(part)).to(device))
            self.decoders.append(SpectrumDecoder(rest, n_latent=1, n_hidden=(1,)).to(device))

    def __call__(self, flux: Tensor, rv: Tensor, width: Tensor) -> Tensor:
        """Native pixels; the kernel is a free parameter of spender, not a function of ``width``."""
        beta = rv / C_KMS
        redshift = (torch.sqrt((1 + beta) / (1 - beta)) - 1).to(flux.dtype)
        seen = []
        for part, decoder, instrument in zip(self.parts, self.decoders, self.instruments, strict=True):
            decoder.to(flux.dtype), instrument.to(flux.dtype)
            seen.append(decoder.transform(flux[:, part.samples], instrument, redshift))
        return torch.cat(seen, dim=1)


def kernel(part: Stretch) -> Tensor:
    """The line spread of a detector on its own pixels, integrated over each, shape (T,)."""
    pixel = float((part.upper - part.lower).mean())
    reach = math.ceil(KERNEL * part.sigma / pixel)
    edges = (np.arange(-reach, reach + 2) - 0.5) * pixel / part.sigma
    return torch.from_numpy(np.diff(ndtr(edges)))
