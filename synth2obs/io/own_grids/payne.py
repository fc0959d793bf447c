"""Training sets of The Payne (Ting et al. 2019, ApJ 879, 69): npz with ``spectra`` (N, P) and ``labels`` (K, N).

Wavelengths stand in a npz of their own (``apogee_wavelength.npz``), on APOGEE's vacuum grid.
"""

from synth2obs.io.own_grids.contract import Format
from synth2obs.io.own_grids.npz import read_npz

KURUCZ = (
    "Teff logg vturb C_H N_H O_H Na_H Mg_H Al_H Si_H P_H S_H K_H Ca_H Ti_H V_H Cr_H Mn_H Fe_H Co_H Ni_H Cu_H Ge_H "
    "C12_C13 Vmacro"
).split()
"""The labels of the Kurucz training set, in order; elements are [X/H]."""

PAYNE = Format(
    read=read_npz,
    defaults={
        "flux": "spectra",
        "label_array": "labels",
        "label_columns": KURUCZ,
        "transposed": True,
        "wavelength": "wavelength",
        "wavelength_file": "apogee_wavelength.npz",
        "unit": "Angstrom",
        "flux_kind": "normalized",
        "citation": "Ting et al. 2019, ApJ 879, 69",
    },
)
