"""Labels of stars whose lines are narrower or wider than their survey's, the scale ignored, held and fitted.

`python experiments/05_label_fits/line_spread.py BRIDGE --survey miles`
"""

import argparse
import time

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scenes import survey_like

from synth2obs import load_bridge
from synth2obs.analysis.flags import LIMIT
from synth2obs.analysis.labels import Labels, labels_of
from synth2obs.core.labels import STELLAR
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.noise.survey_noise import SurveyNoise

SCALES = (0.8, 0.9, 1.0, 1.1, 1.25)
TITLES = (
    "scale",
    "labels / errors: ignored",
    "held",
    "fitted",
    "Teff (rms, K): ignored, held, fitted",
    "scale found: median ± error",
    "within 1, 2 errors",
    "limits",
    "cost: held, fitted",
)


@torch.no_grad()
def observed(
    bridge: Bridge, survey: str, labels: NDArray[np.float64], scale: float, snr: float, seed: int
) -> Spectra:
    """Spectra with morph, gap and a line spread ``scale`` times the survey's, at velocities of ±20 km/s."""
    random, model = np.random.default_rng(seed), bridge.survey(survey)
    rv, own = random.normal(0, 20, len(labels)), model.width_scale.clone()
    model.width_scale.mul_(scale)
    clean = bridge.predict(labels, survey, rv)
    model.width_scale.copy_(own)
    known = np.isfinite(clean)
    clean = np.where(known, clean, 1.0)
    sigma = np.sqrt(np.clip(clean, 0.05, None)) / snr
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=model.wavelength.numpy(),
        segment=model.segment.numpy(),
        flux=(clean + sigma * random.normal(size=clean.shape)).astype(np.float32),
        ivar=(known / sigma**2).astype(np.float32),
        id=np.array([f"star_{i}" for i in range(len(labels))]),
        line_spread=LineSpread.gaussian(model.lsf_sigma.numpy(), stars=len(labels)),
        rv=rv,
        rv_error=np.full(len(labels), np.nan),
        snr=np.full(len(labels), snr),
    )


def deviations(found: Labels, labels: NDArray[np.float64]) -> tuple[float, float]:
    """Root mean square of Teff, log g and [Fe/H] in units of their errors, and of Teff in K."""
    names = list(found.values)
    off = {name: found.values[name] - labels[:, names.index(name)] for name in STELLAR}
    pulls = np.stack([off[name] / found.errors[name] for name in STELLAR])
    return float(np.sqrt(np.mean(pulls**2))), float(np.sqrt(np.mean(off["teff"] ** 2)))


def timed(bridge: Bridge, spectra: Spectra, survey: str, lsf: ArrayLike | None) -> tuple[Labels, float]:
    """A fit, the maps of which are made anew, and the seconds of one core that it takes."""
    start = time.process_time()
    return labels_of(bridge, spectra, survey, lsf=lsf), time.process_time() - start


def row(bridge: Bridge, survey: str, labels: NDArray[np.float64], scale: float, snr: float) -> str:
    """One line of the table."""
    spectra = observed(bridge, survey, labels, scale, snr, int(1000 * scale))
    fits, seconds = zip(*(timed(bridge, spectra, survey, lsf) for lsf in (None, scale, "fit")), strict=True)
    (ignored, held, fitted), found = (deviations(fit, labels) for fit in fits), fits[-1]
    assert found.lsf_scale is not None and found.lsf_scale_error is not None
    pull = np.abs(found.lsf_scale - scale) / found.lsf_scale_error
    return " | ".join(
        [
            f"| {scale:g}",
            *(f"{pair[0]:.2f}" for pair in (ignored, held, fitted)),
            ", ".join(f"{pair[1]:.0f}" for pair in (ignored, held, fitted)),
            f"{np.median(found.lsf_scale):.4f} ± {np.median(found.lsf_scale_error):.4f}",
            f"{np.mean(pull < 1):.0%}, {np.mean(pull < 2):.0%}",
            f"{np.mean((found.flags & LIMIT) > 0):.0%}",
            ", ".join(f"{part / seconds[0]:.1f}" for part in seconds[1:]) + " |",
        ]
    )


def main() -> None:
    """Fit, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("--survey", default="miles")
    parser.add_argument("--stars", type=int, default=24)
    parser.add_argument("--snr", type=float, default=100.0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    bridge = load_bridge(args.bridge)
    model = bridge.survey(args.survey)
    model.gap.scatter.zero_()
    model.noise = SurveyNoise()
    labels = survey_like(bridge, args.stars, 7)
    print("| " + " | ".join(TITLES) + " |\n|" + " --- |" * len(TITLES))
    for scale in SCALES:
        print(row(bridge, args.survey, labels, scale, args.snr), flush=True)


if __name__ == "__main__":
    main()
