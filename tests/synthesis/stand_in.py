"""Programs and data that stand in for Turbospectrum and its model atmospheres: small, and as bad as asked for."""

from pathlib import Path

import numpy as np

from synth2obs.synthesis.atmospheres import STRUCTURE

LINES = """'  26.000            '    1         1
'Fe I    LTE'
  5025.000  2.000 -1.000  700.250    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
"""
RECIPE = """
[grid]
domain = "toy"
spectra = 6
[labels]
ranges = { teff = [4500.0, 6000.0], logg = [3.0, 5.0], fe_h = [-1.0, 0.0] }
[sampling]
name = "sobol"
[engine]
time_limit = 60.0
[[line_list]]
file = "toy.lines"
medium = "air"
range = [4990.0, 5060.0]
[spectrum]
bands = [[5000.0, 5050.0]]
medium = "air"
[output]
resolving_power = 3000.0
step = 1e-4
"""
OPACITIES = "#!/bin/sh\ncat > /dev/null\n"
SYNTHESIS = """#!/bin/sh
{first}
tr "'" ' ' | awk '
    /LAMBDA_MIN/ {{ first = $2 }} /LAMBDA_MAX/ {{ last = $2 }} /LAMBDA_STEP/ {{ step = $2 }}
    END {{
        getline < "model"; getline < "model"; depth = $2 / 12000
        for (n = 0; first + n * step <= last; n++) {{
            wave = first + n * step; flux = 1 - depth * exp(-(wave - 5025) ^ 2)
            printf "%.4f %.6f %.6e\\n", wave, flux, flux > "spectrum"
        }}
    }}'
"""


def install(folder: Path, first: str = ":") -> None:
    """Put them where engines are.

    Args:
        folder: Of all engines.
        first: Command that the synthesis begins with, e.g. ``sleep 600``.
    """
    program = folder / "turbospectrum"
    (program / "bin").mkdir(parents=True, exist_ok=True)
    (program / "DATA").mkdir(exist_ok=True)
    (program / "DATA" / "Hlinedata").write_text("")
    for name, text in (("babsma_lu", OPACITIES), ("bsyn_lu", SYNTHESIS.format(first=first))):
        (program / "bin" / name).write_text(text)
        (program / "bin" / name).chmod(0o755)
    atmospheres(folder / "marcs")


def atmospheres(folder: Path) -> None:
    """A grid of models whose layers have the effective temperature, up to 6000 K."""
    axes = {
        "teff": np.array([4000.0, 5000.0, 6000.0]),
        "logg": np.array([2.0, 5.0]),
        "fe_h": np.array([-1.0, 0.0]),
    }
    values = np.zeros((3, 2, 2, 3, len(STRUCTURE)))
    values[..., STRUCTURE.index("temperature")] = axes["teff"][:, None, None, None]
    folder.mkdir(exist_ok=True)
    np.savez(folder / "marcs.npz", **axes, values=values)
