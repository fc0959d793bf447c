"""Observed APOGEE giants on their native pixels, and the literature's labels of those that have some."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, median_filter

from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.apogee_combined import segments, wavelengths
from synth2obs.io.surveys.apogee_lsf import gauss_hermite, nominal

Array = NDArray[np.float64]

LOUD, AROUND, NEIGHBOURS = 2.0, 301, 3
USUAL_FIBRE = 150.0
"""Whose line spread stands in for a star whose fibre is not said."""


@dataclass(frozen=True)
class Giant:
    """A star: vacuum Å, detector, flux and inverse variance, each (P,); line spread; km/s to start from; labels.

    ``labels`` are the literature's, where there are some; they stand beside a fit and enter none.
    """

    name: str
    wavelength: Array
    segment: NDArray[np.int16]
    flux: Array
    ivar: Array
    line_spread: LineSpread
    rv: float
    labels: Mapping[str, float]

    def cut(self, start: float, stop: float) -> "Giant":
        """The pixels between two wavelengths, those spoilt by sky lines masked."""
        kept = (self.wavelength > start) & (self.wavelength < stop)
        ivar = np.where(_spoilt(self.ivar), 0.0, self.ivar)[kept]
        arrays = (getattr(self, name)[kept] for name in ("wavelength", "segment", "flux"))
        return Giant(self.name, *arrays, ivar, self.line_spread.cut(kept), self.rv, self.labels)


ASPCAP: dict[str, dict[str, float]] = {
    # DR14, calibrated; [C/Fe] and [N/Fe] = [X/M], and oxygen goes with the alpha elements.
    "2M08002084+4044415": {
        "teff": 4859.0, "logg": 2.43, "fe_h": -0.33, "vmic": 1.28, "alpha_fe": 0.25, "c_fe": 0.23, "n_fe": 0.06
    },
    # DR13, calibrated.
    "2M17334253-1654573": {
        "teff": 3788.0, "logg": 1.08, "fe_h": 0.0, "vmic": 1.67, "alpha_fe": 0.16, "c_fe": 0.16, "n_fe": 0.32
    },
    # DR17 and DR13: only of the template of the velocity.
    "2M17335483-2753043": {"teff": 3677.0, "logg": 0.53, "fe_h": -0.29},
    "2M00242666+5341178": {"teff": 4500.0, "logg": 3.0, "fe_h": 0.0},
}  # fmt: skip
"""Labels of APOGEE's pipelines."""

FILES = {
    "2M08002084+4044415": "apogee_dr14/apogee_dr14_example.npz",
    "2M00242666+5341178": "apogee_dr17/apVisit-r13-9518-57729-104.fits",
    "2M17334253-1654573": "apogee_dr13/apStar-r6-2M17334253-1654573.fits",
    "2M17335483-2753043": "apogee_dr17/apStar-dr17-2M17335483-2753043.fits",
}


def _spoilt(ivar: Array) -> NDArray[np.bool_]:
    """Pixels at most `NEIGHBOURS` from one whose error is `LOUD` times that around it."""
    error = 1.0 / np.sqrt(np.maximum(ivar, 1e-30))
    return np.asarray(binary_dilation(error > LOUD * median_filter(error, AROUND), iterations=NEIGHBOURS))


def read_giants(folder: Path) -> list[Giant]:
    """All giants whose file is in a folder."""
    return [read_giant(folder / path, name) for name, path in FILES.items() if (folder / path).is_file()]


def read_giant(path: Path, name: str) -> Giant:
    """A giant from APOGEE's own file, or from an array file of DR14."""
    if path.suffix == ".npz":
        return _from_arrays(path, name)
    table = read_survey("apogee", [path])
    assert table.ivar is not None
    wavelength = np.atleast_2d(table.wavelength)[0]
    return Giant(
        name,
        np.asarray(wavelength, float),
        table.segment,
        np.asarray(table.flux[0], float),
        np.asarray(table.ivar[0], float),
        table.line_spread.of_group(int(table.line_spread.group[0])),
        float(table.rv[0]),
        ASPCAP[name],
    )


def _from_arrays(path: Path, name: str) -> Giant:
    grid, dispersion = wavelengths(), np.gradient(wavelengths())
    spread, _ = gauss_hermite(nominal(USUAL_FIBRE), np.arange(len(grid), dtype=float), dispersion)
    with np.load(path) as content:
        pixels = content["apstar_pixel"]
        flux, ivar = content["normalized_flux"], content["strict_inverse_variance"]
    good = np.where(flux > 0, ivar, 0.0)
    return Giant(name, grid[pixels], segments()[pixels], flux, good, spread.cut(pixels), 0.0, ASPCAP[name])
