"""Runs inside PySME's own environment, one process a spectrum: arrays in, arrays out, nothing of this package.

Called with the files of a request, of the lines, and of the answer; called with none it only loads PySME.
"""

import os
import sys
from typing import Any

# PySME keeps its settings and unpacks its data in the home folder: in its environment they harm nobody.
os.environ["HOME"] = sys.prefix
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402 - after HOME is set
from pysme.abund import Abund  # noqa: E402 - after HOME is set
from pysme.atmosphere.atmosphere import Atmosphere  # noqa: E402 - after HOME is set
from pysme.linelist.linelist import LineList  # noqa: E402 - after HOME is set
from pysme.sme_synth import SME_DLL  # noqa: E402 - after HOME is set

Columns = dict[str, Any]

PIECE = 4000
"""Wavelengths that are computed at once: the memory grows with the lines among them."""

MARGIN = 10.0
"""Å beyond a piece within which lines count."""

FAR = 200.0
"""The same for hydrogen."""

RATIO = 1e-4
"""Opacity of a line relative to the continuum below which it is left out."""

ANGLES = 6
HYDROGEN = 1


def main(request_file: str, lines_file: str, answer_file: str) -> None:
    """Compute the spectrum that a request describes."""
    with np.load(request_file) as file:
        request = dict(file)
    with np.load(lines_file) as file:
        lines = dict(file)
    library = SME_DLL()
    library.SetLibraryPath()
    library.SetContinuumScatteringSourceMode(True)
    library.SetContinuumOpacityGrid("adaptive")
    pieces = [
        wave[start : start + PIECE]
        for wave in np.split(request["wavelength"], request["starts"])
        for start in range(0, len(wave), PIECE)
    ]
    flux = [one_piece(library, request, lines, wave) for wave in pieces]
    np.savez(answer_file, flux=np.concatenate(flux))


def one_piece(library: Any, request: Columns, lines: Columns, wave: Any) -> Any:
    """Normalised flux at some wavelengths."""
    reach = np.where(lines["atom_number"] == HYDROGEN, FAR, MARGIN)
    near = (lines["wlcent"] > wave[0] - reach) & (lines["wlcent"] < wave[-1] + reach)
    if not near.any():
        return np.ones(len(wave))
    chosen = {name: column[near] for name, column in lines.items()}
    factor = chosen.pop("unsold")
    prepare(library, request, chosen, wave)
    scaled = factor > 0.0
    if scaled.any():
        # The library computes Unsöld's damping where it is given none; then each line gets its own factor.
        library.ALMAXRange(accrt=RATIO)
        unsold = np.asarray(library.OutputLineList())[:, 5]
        chosen["gamvw"] = np.where(scaled, unsold + np.log10(np.where(scaled, factor, 1.0)), chosen["gamvw"])
        prepare(library, request, chosen, wave)
    nodes, weights = np.polynomial.legendre.leggauss(ANGLES)
    angles = 0.5 * (nodes + 1.0)
    _, _, line, continuum = library.Transf(angles, wave=wave, accrt=RATIO)
    weights = weights * angles
    return (weights @ line) / (weights @ continuum)


def prepare(library: Any, request: Columns, lines: Columns, wave: Any) -> None:
    """Give the library lines, atmosphere and composition, and have it solve the equation of state."""
    import pandas

    library.InputLineList(LineList(pandas.DataFrame(lines), lineformat="short", medium="air"))
    names = ("rhox", "temp", "xne", "xna", "rho")
    model = Atmosphere(depth="RHOX", geom="PP", wlstd=5000.0, **{name: request[name] for name in names})
    library.InputModel(float(request["teff"]), float(request["logg"]), float(request["vmic"]), model)
    library.InputAbund(composition(request["abundances"]))
    library.Ionization(0)
    library.SetVWscale(1.0)
    library.SetH2broad(True)
    library.InputWaveRange(wave[0] - MARGIN, wave[-1] + MARGIN)
    library.Opacity()


def composition(table: Any) -> Any:
    """A(X) by atomic number as PySME takes it."""
    pattern = np.full(99, np.nan)
    pattern[: len(table)] = np.where(table < -30.0, np.nan, table)
    return Abund(monh=0.0, pattern=pattern, type="H=12")


if __name__ == "__main__" and len(sys.argv) > 1:
    main(*sys.argv[1:])
