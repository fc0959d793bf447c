"""A decoder trained on some wavelengths, asked at others: `python experiments/02_decoders/sampling.py RAW_GRID`."""

import argparse

import torch
from training import Data, Sizes, latent_variables

from synth2obs.io.grids import broaden_grid, read_raw_grid
from synth2obs.models.decoder.encode import encode_flux

FINE = 12.5
"""Samples per FWHM of the truth."""


def errors(data: Data, every: int, steps: int) -> tuple[float, float]:
    """Rms errors (%) on held-out spectra at the wavelengths that were trained on, and at those between them."""
    wavelength = data.wavelength
    seen = wavelength[::every]
    coarse = Data(data.train[:, ::every], data.held_out[:, ::every], seen)
    decoder = latent_variables(coarse, Sizes(), steps)
    inside = wavelength <= seen[-1]
    found = decoder.at(encode_flux(decoder, coarse.held_out), wavelength[inside])
    error = 100.0 * (found - data.held_out[:, inside]).square().mean(0).sqrt()
    old = torch.arange(len(error)) % every == 0
    return tuple(error[rows].square().mean().sqrt().item() for rows in (old, ~old))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", help="raw grid")
    parser.add_argument("--power", type=float, default=6000.0)
    parser.add_argument("--start", type=float, default=5000.0)
    parser.add_argument("--stop", type=float, default=5300.0)
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    step = 1.0 / asked.power / FINE
    grid = broaden_grid(
        read_raw_grid(asked.grid), start=asked.start, stop=asked.stop, resolving_power=asked.power, step=step
    )
    flux, wavelength = torch.from_numpy(grid.flux), torch.from_numpy(grid.wavelength)
    order = torch.randperm(len(flux), generator=torch.Generator().manual_seed(0))
    count = len(flux) // 5
    data = Data(flux[order[count:]], flux[order[:count]], wavelength)
    print("| samples per FWHM | wavelengths trained on | between them |\n| --- | --- | --- |")
    for every in (2, 3, 4, 6):
        old, new = errors(data, every, asked.steps)
        print(f"| {FINE / every:.1f} | {old:.3f} | {new:.3f} |", flush=True)


if __name__ == "__main__":
    main()
