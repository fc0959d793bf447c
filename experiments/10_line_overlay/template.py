"""An instrument for the closed loop: R = 22,000, pixels of 0.1 Å, every pixel good and as noisy as the next.

python experiments/10_line_overlay/template.py -o template.h5
"""

import argparse
from pathlib import Path

import numpy as np

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import sigma_of_resolving_power
from synth2obs.io.shard.write import write_shard

START, STOP, STEP = 6114.0, 6224.0, 0.1
RESOLVING_POWER = 22_000.0
STARS = 16


def template() -> Spectra:
    """Stars without a line: the simulation takes their pixels, line spread and masks."""
    wavelength = np.arange(START, STOP, STEP)
    flat = np.ones((STARS, len(wavelength)), np.float32)
    unknown = np.full(STARS, np.nan)
    sigma = sigma_of_resolving_power(wavelength, RESOLVING_POWER)
    return Spectra(
        domain="template",
        kind="survey",
        wavelength=wavelength,
        segment=np.zeros(len(wavelength), np.int16),
        flux=flat,
        ivar=1e4 * flat,
        id=np.array([f"template_{number:02d}" for number in range(STARS)]),
        line_spread=LineSpread.gaussian(sigma, stars=STARS),
        rv=np.zeros(STARS),
        rv_error=unknown,
        snr=np.full(STARS, 100.0),
        frame="barycentric",
        flux_kind="relative",
    )


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--out", type=Path, required=True)
    print(write_shard(template(), parser.parse_args().out))


if __name__ == "__main__":
    main()
