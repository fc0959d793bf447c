"""Errors of fitted labels at S/N 10 to 3000, the noise learned from other stars.

`python experiments/05_label_fits/noise.py BRIDGE`
"""

import argparse

import numpy as np
import torch
from bound import cramer_rao
from scenes import Truth, learn, observed, survey_like

from synth2obs import load_bridge
from synth2obs.core.constants import MAD_TO_SIGMA
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels

LEVELS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
SHOWN = ("teff", "logg", "fe_h", "c_fe", "mg_fe", "ca_fe")


def learned(bridge: Bridge, survey: str, count: int, truth: Truth, lowest: float, highest: float) -> None:
    """Let a survey learn scatter and noise from stars of these S/N, as the stage of a training does."""
    snr = 10 ** np.random.default_rng(1).uniform(np.log10(lowest), np.log10(highest), count)
    spectra = observed(bridge, survey, survey_like(bridge, count, 1), snr, truth, 1)
    learn(bridge, survey, spectra)


def row(
    bridge: Bridge, survey: str, snr: float, stars: int, bounds: int, truth: Truth, scatter: torch.Tensor
) -> str:
    """One line of the table: bias, width of the pulls, coverage, scatter over the bound."""
    model, own = bridge.survey(survey), bridge.survey(survey).gap.scatter.clone()
    labels = survey_like(bridge, stars, 7)
    model.gap.scatter.copy_(scatter)
    spectra = observed(bridge, survey, labels, np.full(stars, snr), truth, int(snr))
    model.gap.scatter.copy_(own)
    seen, x = prepare(bridge, survey, spectra), bridge.scale(torch.from_numpy(labels))
    fit = fit_labels(bridge, seen, Options(morphed=False))
    offset, error = fit.x - x, fit.covariance.diagonal(dim1=1, dim2=2).sqrt()
    pull = offset / error
    some = torch.arange(bounds)
    model.gap.scatter.copy_(scatter)
    bound = cramer_rao(bridge, seen.take(some), x[some], torch.from_numpy(spectra.rv)[some], truth)
    model.gap.scatter.copy_(own)
    ratio = error[some] / bound.diagonal(dim1=1, dim2=2).sqrt()
    scaled = offset[some] / bound.diagonal(dim1=1, dim2=2).sqrt()
    columns = [bridge.labels.index(name) for name in SHOWN]
    width = MAD_TO_SIGMA * pull.abs().median(0).values
    inside = (pull.abs() < 1).double().mean()
    return " | ".join(
        [
            f"| {snr:.0f}",
            *(f"{width[column]:.2f}" for column in columns),
            f"{pull.square().mean(0).sqrt().median():.2f}",
            f"{width.median():.2f}",
            f"{100 * inside:.0f} %",
            f"{ratio.median():.2f}",
            f"{MAD_TO_SIGMA * scaled.abs().median():.2f} |",
        ]
    )


@torch.no_grad()
def main() -> None:
    """Learn, fit, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("--survey", default="miles")
    parser.add_argument("--stars", type=int, default=160)
    parser.add_argument("--train", type=int, default=240)
    parser.add_argument("--bounds", type=int, default=16)
    parser.add_argument(
        "--seen", type=float, nargs=2, default=(10.0, 300.0), help="S/N of the training stars"
    )
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    truth, scatter = Truth(), bridge.survey(args.survey).gap.scatter.clone()
    bridge.survey(args.survey).gap.mean.zero_()
    learned_noise(bridge, args, truth)
    titles = ["S/N", *SHOWN, "all, rms", "all", "in 1 σ", "error / bound", "scatter / bound"]
    print("| " + " | ".join(titles) + " |\n|" + " --- |" * len(titles))
    for snr in LEVELS:
        print(row(bridge, args.survey, snr, args.stars, args.bounds, truth, scatter), flush=True)


def learned_noise(bridge: Bridge, args: argparse.Namespace, truth: Truth) -> None:
    """Learn, and print what was learned."""
    learned(bridge, args.survey, args.train, truth, *args.seen)
    model = bridge.survey(args.survey)
    step = float(model.wavelength.log().diff().median())
    noise = model.noise
    print(
        f"noise × {noise.white:.3f} ± {noise.white_error:.3f}, narrow {noise.narrow:.2f} ± {noise.narrow_error:.2f}, "
        f"wide {noise.wide:.2f} ± {noise.wide_error:.2f}, length {noise.length / step:.1f} ± "
        f"{noise.length_error / step:.1f} pixels, median scatter {model.gap.scatter.sqrt().median():.4f}\n"
    )


if __name__ == "__main__":
    main()
