"""Errors of the decoder with the published gradient step and with the Gauss-Newton step, at equal training."""

import argparse
import time

import torch

from synth2obs.training.domains import load_domains
from synth2obs.training.run import read_config
from synth2obs.training.stages.theory import QUIET, TheoryStage, encode_linear
from synth2obs.training.state import State


def train(gradient: str, steps: int) -> tuple[State, float]:
    """A trained first stage and the seconds that it took."""
    config = read_config(None, [f"theory.gradient={gradient}", f"theory.steps={steps}"])
    torch.set_num_threads(config.threads)
    state = State(config, load_domains(config.data, config.seed))
    stage, began = TheoryStage(state), time.time()
    for index in range(steps):
        stage.step(index)
    return state, time.time() - began


@torch.no_grad()
def error(state: State, gradient: str, missing: float, snr: float) -> float:
    """Rms error on held-out grid spectra, noise-free truth, with a share of pixels missing at some S/N."""
    random = torch.Generator().manual_seed(1)
    decoder, flux = state.bridge.decoder, state.flux[~state.kept]
    mask = torch.rand(flux.shape, generator=random) >= missing
    noise = torch.randn(flux.shape, generator=random) / snr
    ivar = mask * min(snr, 1 / QUIET) ** 2
    u = encode_linear(decoder.branch, decoder.trunk.table(), flux - decoder.mean + noise, ivar, gradient)
    return (decoder(u) - flux).square().mean().sqrt().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100)
    steps = parser.parse_args().steps
    cases = [(0.0, 1e6), (0.3, 1e6), (0.7, 1e6), (0.0, 20.0), (0.0, 50.0), (0.0, 200.0)]
    print("step          train s  " + "  ".join(f"{m:.0%} miss S/N {s:g}".rjust(17) for m, s in cases))
    for gradient in ("published", "gauss-newton"):
        state, seconds = train(gradient, steps)
        errors = [error(state, gradient, *case) for case in cases]
        print(f"{gradient:13s} {seconds:7.1f}  " + "  ".join(f"{value:17.5f}" for value in errors))


if __name__ == "__main__":
    main()
