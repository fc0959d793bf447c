"""Floor 1: what an instrument does to a rest-frame spectrum. Pure torch, batched, no files."""

from synth2obs.physics.broadening import Broadening
from synth2obs.physics.continuum import chebyshev_basis, profile_continuum
from synth2obs.physics.doppler import doppler_shift, log_doppler, velocity_of_shift
from synth2obs.physics.instrument import Instrument
from synth2obs.physics.lsf import broaden
from synth2obs.physics.macroturbulence import (
    Macroturbulence,
    broaden_by_macroturbulence,
    macroturbulence_reach,
)
from synth2obs.physics.rotation import Rotation, broaden_by_rotation, rotation_reach

__all__ = [
    "Broadening",
    "Instrument",
    "Macroturbulence",
    "Rotation",
    "broaden",
    "broaden_by_macroturbulence",
    "broaden_by_rotation",
    "chebyshev_basis",
    "doppler_shift",
    "log_doppler",
    "macroturbulence_reach",
    "profile_continuum",
    "rotation_reach",
    "velocity_of_shift",
]
