"""Grids that people already have, whoever computed them: a file a format, a TOML a grid (docs/own_grid.md)."""

from synth2obs.io.own_grids.contract import Format
from synth2obs.io.own_grids.fits import FITS
from synth2obs.io.own_grids.hdf5 import HDF5
from synth2obs.io.own_grids.korg import KORG
from synth2obs.io.own_grids.npz import NPZ
from synth2obs.io.own_grids.payne import PAYNE
from synth2obs.io.own_grids.phoenix import PHOENIX
from synth2obs.io.own_grids.spectra import SPECTRA
from synth2obs.io.own_grids.turbospectrum import TURBOSPECTRUM

FORMATS: dict[str, Format] = {
    "npz": NPZ,
    "hdf5": HDF5,
    "fits": FITS,
    "spectra": SPECTRA,
    "phoenix": PHOENIX,
    "turbospectrum": TURBOSPECTRUM,
    "korg": KORG,
    "payne": PAYNE,
}
"""Readers by the ``format`` of a description."""
