"""Floor 1: what an instrument does to a rest-frame spectrum. Pure torch, batched, no files."""

from synth2obs.physics.continuum import chebyshev_basis, profile_continuum
from synth2obs.physics.doppler import doppler_shift, log_doppler, velocity_of_shift
from synth2obs.physics.instrument import Instrument
from synth2obs.physics.lsf import broaden

__all__ = [
    "Instrument",
    "broaden",
    "chebyshev_basis",
    "doppler_shift",
    "log_doppler",
    "profile_continuum",
    "velocity_of_shift",
]
