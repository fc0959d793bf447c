"""Draw the prior in the Kiel diagram at three metallicities.

python figure.py --output ../../docs/images/population_prior.png
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from synth2obs.core.evolution import DEFAULT
from synth2obs.models.priors.population import Population

METALLICITIES = (0.0, -1.0, -2.0)


def main() -> None:
    """Read the prior and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prior", type=Path, default=DEFAULT, help="JSON file of the prior")
    parser.add_argument("--output", type=Path, required=True, help="PNG file to write")
    options = parser.parse_args()
    population = Population.load(options.prior)
    teff, logg = np.linspace(3900.0, 7500.0, 181), np.linspace(0.0, 5.2, 131)
    figure, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, fe_h in zip(axes, METALLICITIES, strict=True):
        grid = np.stack([a.ravel() for a in np.meshgrid(teff, logg, [fe_h], indexing="ij")], axis=1)
        density = population.log_prob(torch.from_numpy(grid)).reshape(len(teff), len(logg)).numpy().T
        drop = density - density.max()
        mesh = axis.pcolormesh(
            teff, logg, drop, vmin=-9, vmax=0, cmap="magma", shading="nearest", rasterized=True
        )
        axis.contour(teff, logg, drop, levels=[-6, -4, -2], colors="white", linewidths=0.5)
        axis.set(title=f"[Fe/H] = {fe_h:+.0f}", xlabel="Teff (K)", xlim=(7500, 3900), ylim=(5.2, 0.0))
    axes[0].set_ylabel("log g (dex)")
    figure.colorbar(mesh, ax=axes, label="ln p, relative to its highest")
    figure.savefig(options.output, dpi=90)


if __name__ == "__main__":
    main()
