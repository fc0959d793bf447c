"""The Sun through GALAH's bridge: Vesta in its native pixels, and the sky's spectrum by UVES as sharp as GALAH sees it.

`python experiments/13_five_surveys/suns.py BRIDGE --data FOLDER`
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synth2obs import fit_labels, load_bridge
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import read_survey
from synth2obs.models.bridge import Bridge

SUN = {"teff": 5772.0, "logg": 4.44, "fe_h": 0.0}
WITHIN = {"teff": 60.0, "logg": 0.08, "fe_h": 0.05}
ELEMENT = 0.08
"""dex that [X/Fe] of the Sun may be off."""

LISTED = "c o na mg al si k ca sc ti v cr mn co ni cu zn y zr ba la ce nd eu".split()
"""Elements of GALAH that the grid has, too."""

TOLD = 1.0
"""Bits of a label that a spectrum must tell for it to count as measured."""

UVES, SOFTENED, SNR = 47_000.0, 23_000.0, 200.0
STEP = 1.0 / SOFTENED / 3.0
ENDS = ((4836.0, 4902.0), (5650.0, 5754.0), (6479.0, 6722.0))
"""Vacuum Å that UVES shares with GALAH's windows."""


def vesta(folder: Path) -> Spectra:
    """The asteroid by GALAH's reduction 6.0, at rest."""
    return read_survey("galah", sorted(folder.glob("2101150022012*")), frame="rest")


def sky(path: Path) -> Spectra:
    """The Sun by UVES, smoothed to GALAH's resolving power, in three of its windows."""
    air, flux = np.loadtxt(path).T
    wavelength, seen = air_to_vacuum(air), flux > 0
    sigma = np.sqrt(SOFTENED**-2 - UVES**-2) / FWHM_PER_SIGMA
    parts = [
        smoothed(wavelength[seen], flux[seen], sigma, np.exp(np.arange(np.log(low), np.log(high), STEP)))
        for low, high in ENDS
    ]
    pixels = np.concatenate([part[0] for part in parts])
    values = np.concatenate([part[1] for part in parts])[None]
    return Spectra(
        domain="galah",
        kind="survey",
        wavelength=pixels,
        segment=np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts]).astype(np.int16),
        flux=values.astype(np.float32),
        ivar=(SNR**2 / np.clip(values, 0.05, None)).astype(np.float32),
        id=np.array(["sun_uves"]),
        line_spread=LineSpread.gaussian(pixels / SOFTENED / FWHM_PER_SIGMA, stars=1),
        rv=np.full(1, np.nan),
        rv_error=np.full(1, np.nan),
        snr=np.full(1, SNR),
        frame="barycentric",
        flux_kind="normalized",
    )


def smoothed(
    wavelength: NDArray[np.float64], flux: NDArray[np.float64], sigma: float, pixels: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flux at some pixels, after a Gaussian of σ in ln λ."""
    fine = np.exp(np.arange(np.log(pixels[0]) - 1e-3, np.log(pixels[-1]) + 1e-3, STEP / 10.0))
    soft = gaussian_filter1d(np.interp(fine, wavelength, flux), sigma / (STEP / 10.0))
    return pixels, np.interp(pixels, fine, soft)


def row(bridge: Bridge, title: str, spectra: Spectra, survey: str, force: bool) -> str:
    """What is fitted minus what is known; (!) beyond what is wanted."""
    found = fit_labels(bridge, spectra, survey, force=force)[0]
    off = {name: float(found[name]) - value for name, value in SUN.items()}
    cells = [
        f"{change:+.3g} ± {found[f'{name}_error']:.2g}" + " (!)" * (abs(change) > WITHIN[name])
        for name, change in off.items()
    ]
    measured = [name for name in LISTED if found[f"{name}_fe_gain"] >= TOLD]
    values = np.array([float(found[f"{name}_fe"]) for name in measured])
    near = f"{int((np.abs(values) <= ELEMENT).sum())} of {len(values)}"
    chi2 = f"{found['chi2'] / found['pixels']:.2f}"
    cells = [title, *cells, f"{np.sqrt(np.mean(values**2)):.3f}", near, chi2, str(found["flags"])]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """A row for every spectrum of the Sun."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bridge", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with galah_iraf6 and high_resolution"
    )
    parser.add_argument("--survey", default="galah")
    given = parser.parse_args()
    bridge = load_bridge(given.bridge)
    print("| | Teff (K) | log g | [Fe/H] | rms [X/Fe] | within 0.08 | χ² a pixel | flags |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    print(row(bridge, "Vesta", vesta(given.data / "galah_iraf6"), given.survey, False))
    uves = sky(given.data / "high_resolution" / "sun_uves_air_4835_6723.txt.gz")
    print(row(bridge, "Sun, UVES", uves, given.survey, True))


if __name__ == "__main__":
    main()
