"""Which [Fe/H] do the Sun's lines ask for, window by window, where theory is asked with the Sun's own labels?

The Sun of UVES against the grid's spectrum at the Sun's labels and its gradient with [Fe/H]: a cubic continuum and one
change of [Fe/H] in each window, by least squares, and with weights that let single lines be wrong (Cauchy).
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synth2obs.core.constants import FWHM_PER_SIGMA, MAD_TO_SIGMA
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard

Floats = NDArray[np.float64]
FIRST, WIDTH, FINE, ROUNDS = 4850.0, 150.0, 2e-6, 60
HOLES = ((5755.0, 5832.0), (6062.0, 6078.0))
"""Vacuum Å that UVES did not see."""


def sun_of(grid: Spectra) -> tuple[Floats, Floats]:
    """Theory's flux at the Sun's labels, and ∂/∂[Fe/H], (L,) each."""
    assert grid.gradients is not None
    points = grid.gradients.index
    distance = np.abs(grid.labels["teff"] - 5777.0) + 1e3 * np.abs(grid.labels["logg"] - 4.44)
    nearest = int(distance[points].argmin())
    slope = grid.gradients.values["fe_h"][nearest]
    return grid.flux[points[nearest]].astype(float), slope.astype(float)


def observed(path: Path, pixels: Floats, resolving_power: float) -> Floats:
    """The Sun on these pixels, as sharp as theory."""
    air, flux = np.loadtxt(path).T
    fine = np.exp(np.arange(np.log(air[0]), np.log(air[-1]), FINE))
    soft = gaussian_filter1d(np.interp(fine, air, flux), 1.0 / resolving_power / FWHM_PER_SIGMA / FINE)
    return np.interp(pixels, air_to_vacuum(fine), soft)


def asked(seen: Floats, theory: Floats, slope: Floats, *, robust: bool) -> float:
    """Change of [Fe/H] in dex that a window asks for, beside a cubic continuum."""
    continuum = np.vander(np.linspace(-1.0, 1.0, len(seen)), 4)
    basis, weight, found = np.c_[slope, continuum * theory[:, None]], np.ones(len(seen)), np.zeros(5)
    for _ in range(ROUNDS if robust else 1):
        root = np.sqrt(weight)
        found = np.linalg.lstsq(basis * root[:, None], (seen - theory) * root, rcond=None)[0]
        residual = seen - theory - basis @ found
        weight = 1.0 / (1.0 + (residual / (MAD_TO_SIGMA * np.median(np.abs(residual)))) ** 2)
    return float(found[0])


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sun", type=Path, help="table of air Å and normalised flux")
    parser.add_argument("--grid", default="embedded:optical_grid")
    parser.add_argument("--power", type=float, default=6000.0, help="the grid's resolving power")
    args = parser.parse_args()
    grid = read_shard(resolve(args.grid))
    pixels = np.asarray(grid.wavelength, float)
    (theory, slope), seen = sun_of(grid), observed(args.sun, pixels, args.power)
    print("| vacuum Å | least squares | single lines may be wrong |\n| --- | --- | --- |")
    table = []
    for start in np.arange(FIRST, 6700.0 - WIDTH, WIDTH):
        if any(start < high and low < start + WIDTH for low, high in HOLES):
            continue
        some = (pixels >= start) & (pixels < start + WIDTH)
        row = [asked(seen[some], theory[some], slope[some], robust=robust) for robust in (False, True)]
        table.append(row)
        print(f"| {start:.0f}–{start + WIDTH:.0f} | {row[0]:+.2f} | {row[1]:+.2f} |")
    print("| mean | {:+.3f} | {:+.3f} |".format(*np.mean(table, axis=0)))


if __name__ == "__main__":
    main()
