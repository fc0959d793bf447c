"""Prints how exact and how fast the instrument is: `python experiments/benchmarks/physics_accuracy.py`."""

import argparse
import math
import resource
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.integrate import simpson

from synth2obs.core.constants import C_KMS
from synth2obs.core.wavelengths import log_grid
from synth2obs.physics import Instrument, chebyshev_basis, profile_continuum

STEP = 8e-5
NARROW_LINE = 2.0 * STEP
GRID_LINE = 1.0 / 6000 / 2.3548


def lines(log_wave: torch.Tensor, width: float) -> torch.Tensor:
    """One spectrum of 40 absorption lines of Gaussian σ ``width`` in ln λ, shape (1, L)."""
    random = np.random.default_rng(7)
    centre = torch.from_numpy(random.uniform(math.log(5030.0), math.log(5220.0), (40, 1)))
    depth = torch.from_numpy(random.uniform(0.05, 0.6, (40, 1)))
    return 1.0 - (depth * torch.exp(-0.5 * ((log_wave - centre) / width) ** 2)).sum(0, keepdim=True)


def brute_force(pixels: np.ndarray, step: float, rv: float, applied: float, width: float) -> torch.Tensor:
    """Pixel means by definition, on a rest grid 10 times finer and 81 points in each pixel."""
    fine = torch.from_numpy(np.log(log_grid(5000.0, 5250.0, STEP / 10)))
    theory, shift, out = lines(fine, width)[0], math.atanh(rv / C_KMS), []
    for centre in pixels:
        edges = math.log(centre - step / 2), math.log(centre + step / 2)
        points = torch.linspace(*edges, 81, dtype=torch.float64)
        kernel = torch.exp(-0.5 * ((points[:, None] - shift - fine) / applied) ** 2)
        means = (kernel * theory).sum(1) / kernel.sum(1)
        out.append(simpson(means.numpy(), x=points.numpy()) / (edges[1] - edges[0]))
    return torch.tensor(np.array(out))


def accuracy() -> None:
    """Largest difference from brute force, over pixels of 0.7 Å at +137 km/s."""
    rest = log_grid(5000.0, 5250.0, STEP)
    pixels = np.arange(5040.0, 5110.0, 0.7)
    rv = torch.tensor([137.0], dtype=torch.float64)
    print("applied σ (samples) | line σ (samples) | float64 | float32")
    for width in (NARROW_LINE, GRID_LINE):
        flux = lines(torch.from_numpy(np.log(rest)), width)
        for applied in (0.05, 0.5, 1.0, 1.5, 2.0, 3.5):
            instrument = Instrument(rest, pixels, np.zeros(len(pixels)), pixels * STEP * applied, 0.0)
            truth = brute_force(pixels, 0.7, 137.0, applied * STEP, width)
            double = (instrument(flux, rv)[0] - truth).abs().max()
            single = (instrument.float()(flux.float(), rv.float())[0] - truth).abs().max()
            print(f"{applied:19.2f} | {width / STEP:16.2f} | {double:.1e} | {single:.1e}")


def timed(name: str, call: Callable[[], object], stars: int, repeats: int = 3) -> None:
    """Prints the smallest wall time and processor time (all threads) per star."""
    call()
    wall, used = math.inf, math.inf
    for _ in range(repeats):
        start, start_used = time.perf_counter(), time.process_time()
        call()
        wall, used = min(wall, time.perf_counter() - start), min(used, time.process_time() - start_used)
    print(f"{name:36s} wall {1e3 * wall / stars:6.2f}  processor {1e3 * used / stars:6.2f} ms/star")


def speed(stars: int, functions: int) -> None:
    """9000 rest samples, 4100 pixels of 0.9 Å with FWHM 2.5 Å, float32."""
    rest = 3520.0 * np.exp(STEP * np.arange(9000))
    pixels = 3540.5 + 0.9 * np.arange(4100)
    instrument = Instrument(rest, pixels, np.zeros(4100), np.full(4100, 2.5 / 2.3548), rest * GRID_LINE)
    rv, flux = 50.0 * torch.randn(stars), torch.rand(stars, 9000, requires_grad=True)
    basis = torch.randn(9000, functions)
    wave = torch.from_numpy(pixels)
    continuum = chebyshev_basis(wave, torch.zeros(4100), 8)
    ivar = torch.ones(stars, 4100)
    model = instrument(flux.detach(), rv)

    def fit() -> object:
        return profile_continuum(model, model, ivar, continuum)

    print(f"B={stars} L=9000 P=4100 K={functions} T={instrument.window()} threads={torch.get_num_threads()}")
    timed("project", lambda: instrument.project(basis, rv), stars)
    with torch.no_grad():
        timed("forward", lambda: instrument(flux, rv), stars)
    timed("forward and backward", lambda: instrument(flux, rv).sum().backward(), stars)
    timed("profile_continuum (9 coefficients)", fit, stars)
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, default=128)
    parser.add_argument("--functions", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    accuracy()
    speed(options.stars, options.functions)
