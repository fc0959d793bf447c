"""How often stars whose lines are wider than their survey's are flagged, and how often ordinary ones are.

`python experiments/05_label_fits/other_widths.py BRIDGE miles=embedded:miles stelib=embedded:stelib`
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scenes import survey_like

from synth2obs import load_bridge
from synth2obs.analysis.flags import POOR_FIT, WIDTH
from synth2obs.analysis.labels import Labels, labels_of
from synth2obs.analysis.morph_labels import morph_labels
from synth2obs.analysis.observed import as_spectra
from synth2obs.core.labels import STELLAR
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge

SPEEDS, SEPARATIONS = (0.0, 50.0, 100.0, 200.0, 300.0), (50.0, 100.0, 200.0, 400.0)


def scenes(
    bridge: Bridge, survey: str, labels: NDArray[np.float64]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Names and spectra of stars that rotate, and of pairs of equal stars, in km/s."""
    table = dict(zip(bridge.labels.names, labels.T, strict=True))
    for speed in SPEEDS:
        yield f"vsini {speed:g}", morph_labels(bridge, table, survey, vsini=speed).flux
    for apart in SEPARATIONS:
        ends = (morph_labels(bridge, table, survey, rv=side * apart / 2).flux for side in (-1, 1))
        yield f"two stars, {apart:g} apart", np.mean(list(ends), axis=0)


def observed(bridge: Bridge, survey: str, clean: NDArray[np.float32], snr: float) -> Spectra:
    """Spectra with white noise; velocities are unknown."""
    model, known = bridge.survey(survey), np.isfinite(clean)
    noise = np.random.default_rng(int(snr)).normal(size=clean.shape) / snr
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=model.wavelength.numpy(),
        segment=model.segment.numpy(),
        flux=(np.where(known, clean, 1.0) + noise).astype(np.float32),
        ivar=(known * snr**2).astype(np.float32),
        id=np.array([f"star_{i}" for i in range(len(clean))]),
        line_spread=LineSpread.gaussian(model.lsf_sigma.numpy(), stars=len(clean)),
        rv=np.full(len(clean), np.nan),
        rv_error=np.full(len(clean), np.nan),
        snr=np.full(len(clean), snr),
        frame="barycentric",
    )


def off(found: Labels, labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest deviation of Teff, log g and [Fe/H] in their errors, shape (N,)."""
    names = list(found.values)
    parts = [(found.values[n] - labels[:, names.index(n)]) / found.errors[n] for n in STELLAR]
    return np.asarray(np.abs(parts).max(0))


def main() -> None:
    """Fit, and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("surveys", nargs="+", metavar="SURVEY=SPECTRA")
    parser.add_argument("--stars", type=int, default=16)
    parser.add_argument("--snr", type=float, nargs="+", default=[30.0, 100.0])
    args = parser.parse_args()
    torch.set_num_threads(1)
    bridge = load_bridge(args.bridge)
    first = args.surveys[0].split("=")[0]
    labels = survey_like(bridge, args.stars, 7)
    print(f"| {first} | S/N | flagged by width | by a poor fit | without either | of these beyond 4 errors |")
    print("|" + " --- |" * 6)
    for name, clean in scenes(bridge, first, labels):
        for snr in args.snr:
            found = labels_of(bridge, observed(bridge, first, clean, snr), first)
            wide, poor = found.flags & WIDTH > 0, found.flags & POOR_FIT > 0
            free = ~(wide | poor)
            wrong = (off(found, labels) > 4) & free
            print(
                f"| {name} | {snr:g} | {wide.mean():.0%} | {poor.mean():.0%} | {free.sum()} of {len(free)} "
                f"| {wrong.sum()} |",
                flush=True,
            )
    print("\n| real stars | stars | flagged by width | of those without a poor fit |\n|" + " --- |" * 4)
    for item in args.surveys:
        survey, path = item.split("=", 1)
        flags = labels_of(bridge, as_spectra(bridge, path, survey), survey).flags
        wide, fine = flags & WIDTH > 0, flags & POOR_FIT == 0
        print(f"| {survey} | {len(flags)} | {wide.mean():.1%} | {(wide & fine).sum()} of {fine.sum()} |")


if __name__ == "__main__":
    main()
